# SPDX-License-Identifier: MIT
"""A packet that comes to the wrong proxy first: it is sent on to the one that knows its connection.

Clients made by hand decide which segment is sent when; the counters of `glbctl stats` show which proxy took it.
"""

import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise, permutations

import pytest
from pyroute2 import IPRoute
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6PacketTooBig
from scapy.packet import Packet

from glb.lab import Lab, hosts
from glb.lab.hosts import IPAddress
from glb.scapy import check_tunnel
from tests.conftest import unique_name
from tests.lab.helpers.commands import Counts, counts, drained, facts, growth, lookups
from tests.lab.helpers.handmade import Connection, connection, payload_of, states_at
from tests.lab.helpers.packets import Sender, Tap, Tunnel, endpoint, ip_layer, wait_for
from tests.lab.helpers.sockets import ESTABLISHED, SYN_RECEIVED, TIME_WAIT

CLIENT4, CLIENT6 = (address.ip for address in hosts.CLIENT.addresses)
FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module")
def lab(unchecked_lab: Lab) -> Lab:
    """Packets are counted here, so there must be none but the tests' own."""
    return unchecked_lab


def silent_client(family: int, number: int) -> IPAddress:
    """Far from the addresses that the load generator uses."""
    return hosts.client_address(family, 50_000 + number)


def route_of(lab: Lab, flow: tuple[str, str]) -> tuple[str, ...]:
    """The proxies of a flow's row as the table is now."""
    [choice] = lookups(lab, [flow], "tcp")
    assert choice is not None
    return choice.proxies


def forwards(lab: Lab, name: str) -> Counter[str]:
    """The packets that a proxy has forwarded, by next hop, from `glbctl stats`."""
    [fact] = facts(lab, name, "stats", name)
    return Counter({hop["next_hop"]: hop["packets"] for hop in fact["next_hops"]})


class Witness:
    """What the datapaths count while a block runs."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._before: Counts = counts(lab)

    def seen(self) -> Counts:
        """By proxy, without what is not of the tunnel, like a proxy's neighbour discovery."""
        grown = growth(self._before, counts(self._lab))
        return {name: {v: n for v, n in grown[name].items() if v != "pass_not_tunnel"} for name in grown}


def check_route(seen: Counts, route: Sequence[str], home: str, taken: dict[str, int]) -> None:
    """The tunnel's packets followed the route to home, which took them; no later proxy received any."""
    at = route.index(home)
    forwarded = {"forwarded": sum(taken.values())}
    assert [seen[proxy] for proxy in route] == [forwarded] * at + [taken] + [{}] * (len(route) - at - 1)


def check_forwarded(lab: Lab, tunnels: Sequence[Tunnel], route: Sequence[str], by: str) -> None:
    """The packets that a proxy forwards go to the next hop of the route, with the next hop counted, and are
    well-formed.

    A path between hosts may pass the router, which decrements the TTL.
    """
    addresses = [str(lab.host(name).addresses[0].ip) for name in route]
    at = route.index(by)
    assert tunnels
    for tunnel in tunnels:
        allowed = [[], *([f"outer IPv4: TTL is {64 - routers}, not 64"] for routers in range(1, at + 2))]
        assert check_tunnel(tunnel.frame) in allowed
        assert (tunnel.source, tunnel.destination) == (addresses[at], addresses[at + 1])
        assert (tunnel.next_hop, tunnel.further_hops) == (at + 1, tuple(addresses[1:]))


@pytest.fixture(scope="module", autouse=True)
def _fellows_found(lab: Lab) -> None:
    """Make each proxy resolve each other proxy, so that no test depends on packets of another."""
    unfound = set(permutations(["proxy1", "proxy2", "proxy3"], 2))
    for number in range(100, 140):
        client = silent_client(4, number)
        with connection(lab, client, 40_100) as conn:
            route = route_of(lab, conn.flow)
            steps = set(pairwise(route))
            if steps & unfound:
                wait_for(lambda conn=conn: answered(conn), f"a reply through {route}")  # type: ignore[misc]
                unfound -= steps
        if not unfound:
            return
    raise AssertionError(f"no client uses {unfound}")


def answered(conn: Connection) -> bool:
    """Ask for an RST, and see whether one has come."""
    conn.send("A", ack=77)
    return bool(conn.segments())


@FAMILIES
def test_the_first_packet_that_a_proxy_ever_sends_on_arrives(family: int) -> None:
    with (
        Lab.up(unique_name(), owned=True, directors=1, proxies=2, health_checks=False) as fresh,
        connection(fresh, silent_client(family, 1), 40_001) as conn,
    ):
        conn.send("A", ack=77)

        assert str(conn.wait_for(lambda tcp: True).flags) == "R"


def request(opened: socket.socket) -> str:
    """One request on a connection that stays open; the proxy that answers."""
    opened.sendall(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
    answer = b""
    while not answer.endswith(b"\n") or b"\r\n\r\n" not in answer or answer.endswith(b"\r\n\r\n"):
        answer += opened.recv(4096)
    return answer.rpartition(b"\r\n\r\n")[2].decode().strip()


@FAMILIES
def test_a_connection_survives_a_change_of_its_first_hop(lab: Lab, family: int) -> None:
    client = silent_client(family, 1)
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with lab.open_socket("client", kind, socket.SOCK_STREAM) as opened:
        opened.settimeout(20)
        opened.bind((str(client), 40_001))
        opened.connect((str(hosts.vip_for(client)), hosts.HTTP_PORT))
        home = request(opened)
        with drained(lab, home):
            route = route_of(lab, (endpoint(client, 1), endpoint(hosts.vip_for(client), 80)))
            before, witness = forwards(lab, route[0]), Witness(lab)
            with lab.capture("dc", route[0]) as one, lab.capture("dc", route[1]) as two:
                answers = [request(opened) for _ in range(20)]
            seen = witness.seen()
            sent_on = forwards(lab, route[0]) - before
            packets = seen[home].get("taken_established", 0)

            assert answers == [home] * 20
            assert route[-1] == home
            assert packets >= 20
            check_route(seen, route, home, {"taken_established": packets})
            assert list(sent_on) == [str(lab.host(route[1]).addresses[0].ip)]
            assert sent_on.total() >= packets
    check_forwarded(lab, Tap(one).tunnels(), route, route[0])
    check_forwarded(lab, Tap(two).tunnels(), route, route[1])


@FAMILIES
def test_a_half_open_connection_is_completed_where_it_began(lab: Lab, family: int) -> None:
    with connection(lab, silent_client(family, 2), 40_002) as conn:
        home = route_of(lab, conn.flow)[0]
        conn.send_syn()
        conn.wait_for_syn_ack()
        with drained(lab, home):
            route = route_of(lab, conn.flow)
            witness = Witness(lab)
            assert states_at(lab, home, conn) == {SYN_RECEIVED}
            conn.acknowledge()
            conn.request("/")
            conn.wait_for_text(f"\r\n\r\n{home}\n".encode())

            assert route[-1] == home
            check_route(witness.seen(), route, home, {"taken_established": 1, "taken_handshake": 1})


@FAMILIES
@pytest.mark.parametrize("goes_on_with", ["the first proxy", "the second proxy"])
def test_of_two_syn_acks_the_acknowledged_one_wins(lab: Lab, family: int, goes_on_with: str) -> None:
    """The row changed before the client repeated its SYN, since the answer to the first had been lost."""
    with connection(lab, silent_client(family, 20), 40_020) as conn:
        first = route_of(lab, conn.flow)[0]
        conn.send_syn()
        conn.wait_for_syn_ack()
        with drained(lab, first):
            second = route_of(lab, conn.flow)[0]
            conn.repeat_syn()
            other = conn.wait_for(lambda tcp: tcp.flags == "SA" and tcp.seq + 1 != conn.peer_start)
            assert (states_at(lab, first, conn), states_at(lab, second, conn)) == ({SYN_RECEIVED}, {SYN_RECEIVED})
            if goes_on_with == "the second proxy":
                conn.peer_start = other.seq + 1
            conn.acknowledge()
            conn.request("/")
            home = first if goes_on_with == "the first proxy" else second
            conn.wait_for_text(f"\r\n\r\n{home}\n".encode())

            conn.give_up_half_open()
        conn.give_up_half_open()


def end_connection(lab: Lab, conn: Connection, home: str) -> None:
    """Have the server close first, so that it keeps the connection in TIME-WAIT."""
    conn.open()
    conn.request("/")
    conn.wait_for(lambda tcp: tcp.flags.F)
    conn.acknowledge()
    conn.send("FA", ack=conn.expected)
    conn.sent += 1
    wait_for(lambda: states_at(lab, home, conn) == {TIME_WAIT}, f"TIME-WAIT at {home}")


@FAMILIES
def test_a_late_segment_reaches_the_connection_in_time_wait(lab: Lab, family: int) -> None:
    with connection(lab, silent_client(family, 3), 40_003) as conn:
        home = route_of(lab, conn.flow)[0]
        end_connection(lab, conn, home)
        with drained(lab, home):
            route = route_of(lab, conn.flow)
            witness = Witness(lab)
            before = len(conn.segments())
            conn.send("FA", seq=conn.sent - 1, ack=conn.expected)
            wait_for(lambda: len(conn.segments()) > before, "an answer to the repeated FIN")

            assert [str(segment.flags) for segment in conn.segments()[before:]] == ["A"]
            check_route(witness.seen(), route, home, {"taken_established": 1})


@FAMILIES
def test_time_wait_lets_a_new_connection_of_its_ports_pass(lab: Lab, family: int) -> None:
    """A backend that is drained and is back within a minute still has the ports of what ended there before."""
    with connection(lab, silent_client(family, 21), 40_021) as conn:
        before = route_of(lab, conn.flow)[0]
        end_connection(lab, conn, before)
        with drained(lab, before):
            home = route_of(lab, conn.flow)[0]
            old = conn.start_again()
            wait_for(lambda: states_at(lab, home, conn) == {ESTABLISHED}, f"a connection to {home}")
        assert route_of(lab, conn.flow)[:2] == (before, home)

        conn.request("/")
        conn.wait_for_text(f"\r\n\r\n{home}\n".encode())
        conn.send("R", seq=old)


@contextmanager
def syn_cookies_always(lab: Lab, proxy: str) -> Iterator[None]:
    lab.set_sysctl(proxy, "net.ipv4.tcp_syncookies", 2)
    try:
        yield
    finally:
        lab.set_sysctl(proxy, "net.ipv4.tcp_syncookies", 1)


@FAMILIES
def test_the_ack_with_a_syn_cookie_finds_the_proxy_that_made_it(lab: Lab, family: int) -> None:
    with connection(lab, silent_client(family, 4), 40_004) as conn:
        home = route_of(lab, conn.flow)[0]
        with syn_cookies_always(lab, home):
            conn.send_syn()
            conn.wait_for_syn_ack()
            with drained(lab, home):
                route = route_of(lab, conn.flow)
                witness = Witness(lab)
                assert states_at(lab, home, conn) == set()
                conn.acknowledge()
                wait_for(lambda: states_at(lab, home, conn) == {ESTABLISHED}, "the connection is established")
                conn.request("/")
                conn.wait_for_text(f"\r\n\r\n{home}\n".encode())

                check_route(witness.seen(), route, home, {"taken_syncookie": 1, "taken_established": 1})


@FAMILIES
def test_a_wrong_cookie_is_refused_by_every_proxy(lab: Lab, family: int) -> None:
    with connection(lab, silent_client(family, 5), 40_005) as conn:
        route = route_of(lab, conn.flow)
        with syn_cookies_always(lab, route[0]):
            conn.send_syn()
            conn.wait_for_syn_ack()
            witness = Witness(lab)
            conn.send("A", ack=conn.expected + 99)
            conn.wait_for(lambda tcp: tcp.flags.R)

            check_route(witness.seen(), route, route[-1], {"taken_last_resort": 1})


@FAMILIES
@pytest.mark.parametrize("flags", ["A", "FA"])
def test_the_last_hop_answers_an_unknown_connection_with_rst(lab: Lab, family: int, flags: str) -> None:
    with connection(lab, silent_client(family, 6), 40_006) as conn:
        route = route_of(lab, conn.flow)
        witness = Witness(lab)
        with lab.capture("dc", route[1]) as port:
            conn.send(flags, b"unknown segment", ack=77)
            answer = conn.wait_for(lambda tcp: True)

        assert (str(answer.flags), answer.seq) == ("R", 77)
        check_route(witness.seen(), route, route[-1], {"taken_last_resort": 1})
    check_forwarded(lab, Tap(port).tunnels(), route, route[1])


def too_big(client: IPAddress, mtu: int, quote: bytes) -> Packet:
    """The error of a router on the path to the client about a packet that exceeds the MTU of its next link."""
    if client.version == 4:
        return ip_layer(CLIENT4, hosts.VIP4) / ICMP(type=3, code=4, nexthopmtu=mtu) / quote
    return ip_layer(CLIENT6, hosts.VIP6) / ICMPv6PacketTooBig(mtu=mtu) / quote


def path_mtu(lab: Lab, host: str, to: IPAddress) -> int | None:
    """What `ip route get` on a host shows as the path MTU to an address, if it is known to be smaller."""

    def get() -> int | None:
        with IPRoute() as ip:
            [route] = ip.route("get", dst=str(to))
        metrics = route.get_attr("RTA_METRICS")
        return metrics.get_attr("RTAX_MTU") if metrics else None

    return lab.within(host, get)


@pytest.mark.parametrize("comes_first_to", ["its own proxy", "another proxy"])
@pytest.mark.parametrize(("family", "mtu"), [(4, 1000), (6, 1300)])
def test_too_big_reaches_the_proxy_of_the_connection(lab: Lab, family: int, mtu: int, comes_first_to: str) -> None:
    moved = comes_first_to == "another proxy"
    with connection(lab, silent_client(family, 10 + moved), 40_007) as conn, Sender(lab) as router:
        home = route_of(lab, conn.flow)[0]
        conn.open()
        with drained(lab, home) if moved else nullcontext():
            route = route_of(lab, conn.flow)
            witness = Witness(lab)
            conn.request("/files/64k?rate=0")
            conn.wait_for(lambda tcp: len(payload_of(tcp)) > mtu)
            lost = max(conn.packets(), key=lambda inner: len(inner.packet))
            router.send(too_big(conn.client, mtu, lost.packet[:200]))
            wait_for(lambda: any(len(inner.packet) == mtu for inner in conn.packets()), "smaller packets")

            assert len(lost.packet) == 1440 + 20 * (family == 6)
            assert path_mtu(lab, home, conn.client) == mtu
            assert route[-1 if moved else 0] == home
            check_route(witness.seen(), route, home, {"taken_established": 2})
        others = {proxy.name for proxy in lab.proxies} - {home}
        assert [path_mtu(lab, other, conn.client) for other in others] == [None, None]
