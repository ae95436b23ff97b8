# SPDX-License-Identifier: MIT
"""Which hops a proxy's daemon resolves."""

from ipaddress import IPv4Address

from glb.proxy.hops import HOP_SECONDS, MOST_HOPS, LiveHops

FIRST, SECOND = IPv4Address("10.0.0.12"), IPv4Address("10.0.0.13")


def test_a_hop_is_live_as_long_as_packets_are_sent_on_to_it() -> None:
    hops = LiveHops()
    assert hops.update({FIRST: 1, SECOND: 1}, 0.0) == {FIRST, SECOND}
    assert hops.update({FIRST: 1, SECOND: 2}, HOP_SECONDS - 1) == {FIRST, SECOND}
    assert hops.update({FIRST: 1, SECOND: 2}, HOP_SECONDS) == {SECOND}
    assert hops.update({SECOND: 2}, 2 * HOP_SECONDS) == set()


def test_a_forgotten_hop_is_live_again_with_its_next_packet() -> None:
    hops = LiveHops()
    hops.update({FIRST: 5}, 0.0)
    assert hops.update({FIRST: 5}, HOP_SECONDS) == set()
    assert hops.update({FIRST: 1}, HOP_SECONDS + 1) == {FIRST}


def test_made_up_hops_displace_none_that_is_in_use() -> None:
    hops = LiveHops()
    for second in range(20):
        made_up = {IPv4Address("192.0.2.0") + second * 256 + number: 1 for number in range(256)}
        live = hops.update({FIRST: 100 * second + 100, **made_up}, float(second))
        assert FIRST in live
        assert len(live) == MOST_HOPS


def test_a_flood_of_made_up_hops_is_forgotten() -> None:
    hops = LiveHops()
    hops.update({IPv4Address("10.0.0.0") + number: 1 for number in range(4096)}, 0.0)
    assert hops.update({FIRST: 2}, HOP_SECONDS) == {FIRST}
