# SPDX-License-Identifier: MIT
"""The bind that a socket counts for, and the ports that the kernel is queried for."""

from collections import Counter
from ipaddress import ip_address

from glb.config.bind_text import parse_bind
from glb.network.sockets import LocalEnd, TcpState
from glb.proxy.connections import by_bind, merged_ports

HOST, RANGE, NET, OTHER = map(
    parse_bind, ("203.0.113.10:80/tcp", "203.0.113.10:1-100/tcp", "203.0.113.0/24:80/tcp", "[2001:db8:f::10]:80/tcp")
)


def end(address: str, port: int, state: TcpState = TcpState.ESTABLISHED) -> LocalEnd:
    return LocalEnd(ip_address(address), port, state)


def test_a_socket_counts_for_the_bind_that_a_director_chooses() -> None:
    ends = {
        end("203.0.113.10", 80): 1,
        end("203.0.113.10", 81): 2,
        end("203.0.113.11", 80): 4,
        end("2001:db8:f::10", 80): 8,
        end("203.0.113.11", 81): 16,
    }

    counts = by_bind(ends, [NET, RANGE, HOST, OTHER])

    assert {bind: sum(states.values()) for bind, states in counts.items()} == {HOST: 1, RANGE: 2, NET: 4, OTHER: 8}


def test_of_binds_of_equal_precedence_the_last_counts() -> None:
    low, high = parse_bind("203.0.113.10:80-90/tcp"), parse_bind("203.0.113.10:85-95/tcp")
    ends = {end("203.0.113.10", 87): 3}

    assert by_bind(ends, [low, high]) == {high: Counter({TcpState.ESTABLISHED: 3}), low: Counter()}
    assert by_bind(ends, [high, low]) == {low: Counter({TcpState.ESTABLISHED: 3}), high: Counter()}


def test_states_are_counted_apart() -> None:
    ends = {end("203.0.113.10", 80): 3, end("203.0.113.10", 80, TcpState.TIME_WAIT): 5}

    assert by_bind(ends, [HOST]) == {HOST: {TcpState.ESTABLISHED: 3, TcpState.TIME_WAIT: 5}}


def test_a_bind_for_udp_has_no_connections() -> None:
    udp = parse_bind("203.0.113.10:80/udp")

    assert by_bind({end("203.0.113.10", 80): 1}, [udp]) == {udp: {}}
    assert merged_ports([udp]) == []


def test_ports_are_queried_in_as_few_ranges_as_possible() -> None:
    texts = ("192.0.2.1:443/tcp", "192.0.2.1:80/tcp", "192.0.2.2:70-82/tcp", "192.0.2.1:83-90/tcp", "192.0.2.9:80/tcp")

    assert merged_ports([parse_bind(text) for text in texts]) == [(70, 90), (443, 443)]
