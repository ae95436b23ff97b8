# SPDX-License-Identifier: MIT
"""The model against vectors and frames that were put together by hand, or by scapy: nothing here runs in the kernel."""

import random
from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from glb.scapy import GLBGUE
from tests.unit import reference

from . import build
from .checksum import checksum, updated
from .director import Director
from .director_cases import CLIENT4, CLIENT6, FORWARD, ROUTER_MAC, VIP4, VIP6, bind, table
from .headers import Fault, parse_link
from .places import DIRECTOR_MAC, GATEWAY_MAC
from .proxy import Proxy, decapsulated_ecn
from .proxy_cases import FIRST, PROXY_MAC, SECOND, THIRD, tunnelled
from .proxy_cases import ROUTER_MAC as PROXY_ROUTER_MAC
from .rendezvous import hops_of_row
from .setup import packed_mac
from .siphash import siphash

KEY = bytes(range(16))
BINDS = [bind(VIP4, "tcp", 80), bind(VIP6, "tcp", 80)]
DATA = Raw(bytes(range(200)) * 7)
TUNNEL = 20 + 8 + 8


def director(**config: Any) -> Director:
    """A director with one proxy, so that the only hop is known without a hash."""
    tables = (table("web", BINDS, "10.0.0.11"),)
    return Director(FORWARD | config, tables, packed_mac(DIRECTOR_MAC), 9000)


def received(*layers: Packet) -> Packet:
    return framed(ROUTER_MAC, DIRECTOR_MAC, *layers)


def framed(src: str, dst: str, *layers: Packet) -> Packet:
    packet = Ether(src=src, dst=dst)
    for layer in layers:
        packet = packet / layer
    return packet


def outer(client: str, port: int, inner: Packet, tos: int = 0) -> Packet:
    """The tunnel around a packet, its source port by another SipHash than the model's."""
    pkt_hash = int.from_bytes(reference.siphash(KEY, ip_address(client).packed), "little")
    return (
        IP(src="10.0.0.1", dst="10.0.0.11", id=0, flags="DF", tos=tos)
        / UDP(sport=0x8000 | ((pkt_hash ^ port) & 0x7FFF), dport=19523, chksum=0)
        / GLBGUE(proto=4 if inner.version == 4 else 41, hops=[])
        / inner
    )


def test_siphash_gives_the_result_of_the_papers_appendix() -> None:
    assert siphash(KEY, bytes(range(15))) == 0xA129CA6149BE45E5


def test_the_checksum_is_that_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF


def test_an_updated_checksum_is_that_of_rfc_1624() -> None:
    assert updated(0xDD2F, b"\x55\x55", b"\x32\x85") == 0x0000


def test_an_updated_checksum_is_the_one_of_the_changed_data() -> None:
    rng = random.Random(1)
    for _ in range(1000):
        data, new = rng.randbytes(40), rng.randbytes(4)
        assert updated(checksum(data), data[8:12], new) == checksum(data[:8] + new + data[12:])


@pytest.mark.parametrize("depth", range(2, 9))
def test_rows_are_those_of_the_unit_tests_reference(depth: int) -> None:
    rng = random.Random(depth)
    seed = rng.randbytes(16)
    states = ("active", "filling", "draining", "inactive")
    backends: list[dict[str, Any]] = [
        {"ip": f"10.0.0.{n}", "state": rng.choice(states), "healthy": rng.random() < 0.6} for n in range(1, 10)
    ]
    entries = [(ip_address(entry["ip"]), entry["state"], entry["healthy"]) for entry in backends]
    source = {"seed": seed.hex(), "depth": depth, "backends": backends}
    for row in range(300):
        got = [backends.index(dict(backend)) for backend in hops_of_row(source, row)]
        expected = reference.deep_row(entries, seed, row, depth) if depth > 2 else None
        assert got == (expected or reference.github_row(entries, seed, row))


def test_a_tcp_packet_leaves_in_the_tunnel() -> None:
    inner = IP(src=CLIENT4, dst=VIP4) / TCP(sport=4711, dport=80)
    result = director().run(bytes(received(inner)))
    assert result.frame == bytes(framed(DIRECTOR_MAC, GATEWAY_MAC, outer(CLIENT4, 4711, inner)))


def test_ipv6_behind_a_tag_leaves_behind_the_tag_with_its_marks() -> None:
    inner = IPv6(src=CLIENT6, dst=VIP6, tc=0xB9) / TCP(sport=4711, dport=80)
    tag = Dot1Q(vlan=5, prio=3)
    result = director(copy_dscp=True).run(bytes(received(tag, inner)) + b"\xee" * 6)
    assert result.frame == bytes(framed(DIRECTOR_MAC, GATEWAY_MAC, tag, outer(CLIENT6, 4711, inner, tos=0xB9)))


def test_an_echo_is_answered_as_scapy_would() -> None:
    request = IP(src=CLIENT4, dst=VIP4, id=77, ttl=3, tos=8) / ICMP(type=8, id=7, seq=1) / Raw(b"ping!")
    reply = IP(src=VIP4, dst=CLIENT4, id=77, ttl=64, tos=8) / ICMP(type=0, id=7, seq=1) / Raw(b"ping!")
    result = director(icmp_echo="answer").run(bytes(received(request)))
    assert result.frame == bytes(framed(DIRECTOR_MAC, ROUTER_MAC, reply))


def test_an_ipv6_echo_is_answered_as_scapy_would() -> None:
    request = IPv6(src=CLIENT6, dst=VIP6, hlim=3, fl=99) / ICMPv6EchoRequest(id=7, seq=1, data=b"ping!")
    reply = IPv6(src=VIP6, dst=CLIENT6, hlim=64, fl=99) / ICMPv6EchoReply(id=7, seq=1, data=b"ping!")
    result = director(icmp_echo="answer").run(bytes(received(request)))
    assert result.frame == bytes(framed(DIRECTOR_MAC, ROUTER_MAC, reply))


def test_client_receives_the_size_that_fits() -> None:
    large = IP(src=CLIENT4, dst=VIP4, flags="DF", tos=8) / TCP(dport=80) / DATA
    reported = (
        IP(src=VIP4, dst=CLIENT4, id=0, ttl=64)
        / ICMP(type=3, code=4, nexthopmtu=1400 - TUNNEL)
        / Raw(bytes(large)[:96])
    )
    result = director(mtu=1400).run(bytes(received(large)))
    assert result.frame == bytes(framed(DIRECTOR_MAC, ROUTER_MAC, reported))


@pytest.mark.parametrize(("mtu", "reported"), [(1400, 1400 - TUNNEL), (1290, 1280)])
def test_an_ipv6_client_is_never_sent_an_mtu_below_1280(mtu: int, reported: int) -> None:
    large = IPv6(src=CLIENT6, dst=VIP6, tc=8, fl=3) / TCP(dport=80) / DATA
    message = IPv6(src=VIP6, dst=CLIENT6, hlim=64) / ICMPv6PacketTooBig(mtu=reported) / Raw(bytes(large)[:256])
    result = director(mtu=mtu).run(bytes(received(large)))
    assert result.frame == bytes(framed(DIRECTOR_MAC, ROUTER_MAC, message))


def test_no_error_is_sent_above_the_limit() -> None:
    large = IP(src=CLIENT4, dst=VIP4) / TCP(dport=80) / DATA
    limited = Director(FORWARD | {"mtu": 1400}, director().tables, packed_mac(DIRECTOR_MAC), may_answer=False)
    assert limited.run(bytes(received(large))).verdict == "drop_too_big"


@pytest.mark.parametrize("length", range(14))
def test_a_frame_that_ends_in_its_ethernet_header_is_short(length: int) -> None:
    """The kernel runs no such frame, so that the model alone has a say."""
    with pytest.raises(Fault, match="drop_short_frame"):
        parse_link(bytes(length))


def test_a_packet_that_is_taken_comes_out_as_it_went_in() -> None:
    inner = IPv6(src=CLIENT6, dst=VIP6) / TCP(dport=80, flags="S")
    result = Proxy().run(bytes(tunnelled(inner)))
    assert result.frame == bytes(framed(PROXY_ROUTER_MAC, PROXY_MAC, inner))


def test_congestion_mark_is_copied_to_the_inner_packet() -> None:
    inner = IP(src=CLIENT4, dst=VIP4, tos=0xBA) / TCP(dport=80, flags="S")
    marked = IP(src=CLIENT4, dst=VIP4, tos=0xBB) / TCP(dport=80, flags="S")
    result = Proxy().run(bytes(tunnelled(inner, tos=3)))
    assert result.frame == bytes(framed(PROXY_ROUTER_MAC, PROXY_MAC, marked))


@pytest.mark.parametrize("checksum_given", [0, None], ids=["without", "with"])
def test_a_packet_that_is_sent_on_is_as_if_made_for_the_next_hop(checksum_given: int | None) -> None:
    inner = IP(src=CLIENT4, dst=VIP4) / TCP(dport=80, flags="A")
    result = Proxy().run(bytes(tunnelled(inner, checksum=checksum_given)))
    sent_on = (
        IP(src=FIRST, dst=SECOND, id=0, flags="DF")
        / UDP(sport=0x8123, dport=19523, chksum=checksum_given)
        / GLBGUE(hops=[SECOND, THIRD], next_hop=1)
        / inner
    )
    assert result.frame == bytes(framed(PROXY_MAC, PROXY_ROUTER_MAC, sent_on))


@pytest.mark.parametrize(
    ("flags", "verdict"),
    [("A", "taken_syncookie"), ("PA", "taken_syncookie"), ("S", "taken_syn"), ("FA", "forwarded"), ("RA", "forwarded")],
)
def test_a_valid_cookie_is_looked_for_in_plain_acks_alone(flags: str, verdict: str) -> None:
    """Cookies in the kernel are what the lab's tests are about."""
    inner = IP(src=CLIENT4, dst=VIP4) / TCP(dport=80, flags=flags)
    assert Proxy(has_cookie=lambda packet: True).run(bytes(tunnelled(inner))).verdict == verdict


def test_marks_are_combined_by_the_table_of_rfc_6040() -> None:
    not_ect, ect1, ect0, ce = 0, 1, 2, 3
    expected = {  # inner: by outer Not-ECT, ECT(1), ECT(0)
        not_ect: (not_ect, not_ect, not_ect),
        ect1: (ect1, ect1, ect1),
        ect0: (ect0, ect1, ect0),
        ce: (ce, ce, ce),
    }
    for inner, results in expected.items():
        assert tuple(decapsulated_ecn(outer_mark, inner) for outer_mark in (not_ect, ect1, ect0)) == results
    assert [decapsulated_ecn(ce, inner) for inner in (ect1, ect0, ce)] == [ce] * 3


def test_headers_made_by_hand_are_scapys() -> None:
    """The material of random packets, with right lengths and checksums."""
    src4, dst4, src6, dst6 = (ip_address(text).packed for text in (CLIENT4, VIP4, CLIENT6, VIP6))
    tcp4 = build.tcp(src4, dst4, 1, 80, 0x10, b"\x01\x01\x01", b"data!")
    tcp6 = build.tcp(src6, dst6, 1, 80, 0x10, b"", b"data!")
    ping6 = build.icmp(src6, dst6, 128, 0, 0x00070001, b"ping!")
    for made in (
        IP(build.ipv4(src4, dst4, 6, tcp4, 8, 3, 77, 0x4000, b"\x01")),
        IPv6(build.ipv6(src6, dst6, 6, tcp6, 8, 3, 99)),
        IPv6(build.ipv6(src6, dst6, 58, ping6)),
        IP(build.ipv4(src4, dst4, 17, build.udp(src4, dst4, 1, 53, b"odd"))),
    ):
        assert bytes(made) == bytes(without_sums(made))


def without_sums(packet: Packet) -> Packet:
    """The same packet, whose lengths and checksums scapy fills in."""
    again = packet.copy()
    for layer, names in (
        (IP, ("len", "chksum", "ihl")),
        (IPv6, ("plen",)),
        (TCP, ("chksum",)),
        (UDP, ("chksum", "len")),
    ):
        for name in names if layer in again else ():
            delattr(again[layer], name)
    if ICMPv6EchoRequest in again:
        del again[ICMPv6EchoRequest].cksum
    return again
