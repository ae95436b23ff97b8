# SPDX-License-Identifier: MIT
"""The director program, frame by frame: what it does with each, and that it says so in its counters."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from ipaddress import IPv4Address, IPv6Address, ip_address
from operator import truediv
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    fragment6,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from glb.config.model import HashFields
from glb.datapath.counters import read_traffic
from glb.datapath.generation import NetworkView
from glb.hashing.flow import Flow
from glb.lab import netns
from glb.network.namespaces import within
from glb.network.vlans import Vlan
from glb.scapy import GLBGUE, check_tunnel
from glb.table.lookup import Lookup, lookup

from .conftest import DIRECTOR_MAC, GATEWAY_MAC, DirectorBench, Outcome, load_files, table

VIP4, VIP6 = "203.0.113.10", "2001:db8:f::10"
ROUTER_MAC = "02:00:00:00:00:aa"
LOOPBACK = 1
MakeDirector = Callable[..., DirectorBench]


def frame(*layers: Packet, dst: str = DIRECTOR_MAC) -> Packet:
    packet: Packet = Ether(src=ROUTER_MAC, dst=dst)
    for layer in layers:
        packet /= layer
    return packet


def expected(bench: DirectorBench, src: str, dst: str, ports: tuple[int, int], proto: str) -> Lookup:
    flow = Flow(ip_address(src), ip_address(dst), *ports)
    config = bench.loaded.config
    found = lookup(bench.loaded.tables, flow, proto, config.hash_fields, config.alt_hash_fields)
    assert found is not None
    return found


def assert_tunnelled(outcome: Outcome, inner: Packet, found: Lookup) -> None:
    """The frame that came out carries the inner packet, untouched, to the hops that lookup names."""
    assert (outcome.action, outcome.verdict) == ("tx", "encapsulated")
    packet = outcome.packet
    assert check_tunnel(packet) == []
    assert packet[Ether].dst == GATEWAY_MAC
    assert packet[Ether].src == DIRECTOR_MAC
    assert packet[IP].src == "10.0.0.1"
    hops = [packet[IP].dst, *packet[GLBGUE].hops]
    assert [ip_address(hop) for hop in hops] == list(found.hops)
    assert packet[UDP].sport == found.tunnel_source_port
    assert packet[GLBGUE].next_hop == 0
    tunnel_length = 14 + 20 + 8 + 4 + 4 + 4 * len(packet[GLBGUE].hops)
    assert outcome.frame[tunnel_length:] == bytes(inner)


@pytest.mark.parametrize("payload", [0, 1, 6, 452, 1448, 8800])
def test_a_tcp_packet_is_tunnelled_to_the_hops_of_its_row(director: MakeDirector, payload: int) -> None:
    bench = director()
    inner = IP(src="198.18.3.4", dst=VIP4) / TCP(sport=4711, dport=80) / Raw(b"x" * payload)
    found = expected(bench, "198.18.3.4", VIP4, (4711, 80), "tcp")
    assert_tunnelled(bench.run(frame(inner)), inner, found)


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_thousand_clients_go_where_lookup_says(director: MakeDirector, family: int, proto: str) -> None:
    bench = director()
    rng = random.Random(family)
    layer, port = (TCP, 80) if proto == "tcp" else (UDP, 53)
    for _ in range(1000):
        src_port = rng.randrange(1, 65536)
        if family == 4:
            src, dst = str(IPv4Address(rng.randrange(1 << 24, 127 << 24))), VIP4
            inner = IP(src=src, dst=dst) / layer(sport=src_port, dport=port)
        else:
            src, dst = str(IPv6Address(1 << 125 | rng.getrandbits(125))), VIP6
            inner = IPv6(src=src, dst=dst) / layer(sport=src_port, dport=port)
        assert_tunnelled(bench.run(frame(inner)), inner, expected(bench, src, dst, (src_port, port), proto))


@pytest.mark.parametrize("fields", range(1, 16))
@pytest.mark.parametrize("family", [4, 6])
def test_each_choice_of_hash_fields_hashes_those_fields(director: MakeDirector, family: int, fields: int) -> None:
    names = ("src_addr", "dst_addr", "src_port", "dst_port")
    chosen = {name: bool(fields >> bit & 1) for bit, name in enumerate(names)}
    bench = director(hash_fields=chosen)
    assert bench.loaded.config.hash_fields == HashFields(**chosen)
    for sport in (1024, 65535):
        src, dst = ("198.18.3.4", VIP4) if family == 4 else ("2001:db8:c::4", VIP6)
        ip = IP(src=src, dst=dst) if family == 4 else IPv6(src=src, dst=dst)
        inner = ip / TCP(sport=sport, dport=80)
        assert_tunnelled(bench.run(frame(inner)), inner, expected(bench, src, dst, (sport, 80), "tcp"))


def test_alternative_hash_fields_append_the_hops_of_a_second_row(director: MakeDirector) -> None:
    alternative = {"src_addr": True, "dst_addr": False, "src_port": True, "dst_port": False}
    bench = director(table(depth=2), alt_hash_fields=alternative)
    for sport in range(1000, 1050):
        inner = IP(src="198.18.3.4", dst=VIP4) / TCP(sport=sport, dport=80)
        found = expected(bench, "198.18.3.4", VIP4, (sport, 80), "tcp")
        assert len(found.hops) == 4
        assert_tunnelled(bench.run(frame(inner)), inner, found)


@pytest.mark.parametrize("depth", range(2, 9))
def test_a_row_of_each_depth_puts_all_its_hops_in_the_header(director: MakeDirector, depth: int) -> None:
    backends = [{"ip": f"10.0.1.{n}", "state": "active", "healthy": True} for n in range(1, 13)]
    bench = director(table(depth=depth, backends=backends))
    inner = IP(src="198.18.3.4", dst=VIP4) / TCP(sport=4711, dport=80)
    found = expected(bench, "198.18.3.4", VIP4, (4711, 80), "tcp")
    assert len(found.hops) == depth
    assert_tunnelled(bench.run(frame(inner)), inner, found)


def test_a_short_row_has_fewer_hops(director: MakeDirector) -> None:
    bench = director(table(depth=5))
    inner = IP(src="198.18.3.4", dst=VIP4) / TCP(sport=4711, dport=80)
    found = expected(bench, "198.18.3.4", VIP4, (4711, 80), "tcp")
    assert len(found.hops) == 3
    assert_tunnelled(bench.run(frame(inner)), inner, found)


def test_ipv4_options_are_stepped_over(director: MakeDirector) -> None:
    bench = director()
    inner = IP(src="198.18.3.4", dst=VIP4, options=b"\x07\x0b\x04" + bytes(9)) / TCP(sport=4711, dport=80)
    assert_tunnelled(bench.run(frame(inner)), inner, expected(bench, "198.18.3.4", VIP4, (4711, 80), "tcp"))


def test_an_ipv4_icmp_error_goes_where_the_quoted_connection_is(director: MakeDirector) -> None:
    bench = director()
    quoted = IPerror(src=VIP4, dst="198.18.3.4") / TCPerror(sport=80, dport=4711, seq=1)
    for kind, code in ((3, 4), (3, 1), (11, 0), (12, 0)):
        inner = IP(src="192.0.2.1", dst=VIP4) / ICMP(type=kind, code=code) / bytes(quoted)[:28]
        found = expected(bench, "198.18.3.4", VIP4, (4711, 80), "tcp")
        assert_tunnelled(bench.run(frame(inner)), inner, found)


def test_an_ipv6_icmp_error_goes_where_the_quoted_connection_is(director: MakeDirector) -> None:
    bench = director()
    quoted = IPv6(src=VIP6, dst="2001:db8:c::4") / TCP(sport=80, dport=4711)
    inner = IPv6(src="2001:db8:1::1", dst=VIP6) / ICMPv6PacketTooBig(mtu=1280) / quoted
    found = expected(bench, "2001:db8:c::4", VIP6, (4711, 80), "tcp")
    assert_tunnelled(bench.run(frame(inner)), inner, found)


def test_an_ipv4_echo_goes_to_the_table_of_its_address(director: MakeDirector) -> None:
    bench = director()
    inner = IP(src="198.18.3.4", dst=VIP4, id=0x1234) / ICMP(type=8, id=7, seq=1) / Raw(b"ping")
    outcome = bench.run(frame(inner))
    found = expected(bench, "198.18.3.4", VIP4, (0, 0), "icmp")
    assert outcome.packet[UDP].sport == 0x8000 | ((found.pkt_hash ^ 0x1234) & 0x7FFF)
    assert [outcome.packet[IP].dst, *outcome.packet[GLBGUE].hops] == [str(hop) for hop in found.hops]


def test_an_ipv6_echo_goes_to_the_table_of_its_address(director: MakeDirector) -> None:
    bench = director()
    inner = IPv6(src="2001:db8:c::4", dst=VIP6) / ICMPv6EchoRequest(id=7)
    outcome = bench.run(frame(inner))
    found = expected(bench, "2001:db8:c::4", VIP6, (0, 0), "icmp")
    assert check_tunnel(outcome.packet) == []
    assert [outcome.packet[IP].dst, *outcome.packet[GLBGUE].hops] == [str(hop) for hop in found.hops]


def test_an_echo_is_passed_if_icmp_echo_says_so(director: MakeDirector) -> None:
    bench = director(forward_icmp_ping_responses=False)
    assert bench.run(frame(IP(src="198.18.3.4", dst=VIP4) / ICMP(type=8))).verdict == "pass_no_bind"


UNTOUCHED = [
    ("another port", frame(IP(src="198.18.3.4", dst=VIP4) / TCP(dport=81)), "pass_no_bind"),
    ("another protocol", frame(IP(src="198.18.3.4", dst=VIP4) / UDP(dport=80)), "pass_no_bind"),
    ("another address", frame(IP(src="198.18.3.4", dst="203.0.113.11") / TCP(dport=80)), "pass_no_bind"),
    (
        "a v4-mapped address",
        frame(IPv6(src="::1", dst="::ffff:203.0.113.10") / TCP(dport=80)),
        "pass_no_bind",
    ),
    ("the v4 address as v6", frame(IPv6(src="::1", dst="cb00:710a::") / TCP(dport=80)), "pass_no_bind"),
    ("an echo reply", frame(IP(src="198.18.3.4", dst=VIP4) / ICMP(type=0)), "pass_no_bind"),
    (
        "a protocol without ports",
        frame(IP(src="198.18.3.4", dst=VIP4, proto=47) / Raw(bytes(20))),
        "pass_no_bind",
    ),
    (
        "an error about another connection",
        frame(
            IP(src="192.0.2.1", dst=VIP4)
            / ICMP(type=3, code=4)
            / bytes(IPerror(src="10.0.0.1", dst="198.18.3.4") / TCPerror(sport=80, dport=4711))
        ),
        "pass_no_bind",
    ),
    ("ARP", frame(ARP(), dst="ff:ff:ff:ff:ff:ff"), "pass_not_ip"),
    (
        "a third VLAN tag",
        frame(Dot1Q(), Dot1Q(), Dot1Q(), IP(src="198.18.3.4", dst=VIP4) / TCP(dport=80)),
        "pass_not_ip",
    ),
    (
        "a frame for another host",
        frame(IP(src="198.18.3.4", dst=VIP4) / TCP(dport=80), dst="02:00:00:00:00:02"),
        "pass_other_host",
    ),
    (
        "a fragment of no transport",
        frame(IP(src="198.18.3.4", dst=VIP4, flags="MF", proto=47) / Raw(bytes(8))),
        "pass_fragment",
    ),
    ("a fragment without a bind", frame(IP(src="198.18.3.4", dst="203.0.113.11", frag=9, proto=6)), "pass_fragment"),
    (
        "an IPv6 fragment of no transport",
        frame(IPv6(src="2001:db8:c::4", dst=VIP6) / IPv6ExtHdrFragment(m=1, nh=47) / Raw(bytes(8))),
        "pass_fragment",
    ),
]


@pytest.mark.parametrize(("packet", "verdict"), [pytest.param(p, v, id=name) for name, p, v in UNTOUCHED])
def test_what_no_bind_matches_goes_to_the_stack_untouched(director: MakeDirector, packet: Packet, verdict: str) -> None:
    outcome = director().run(packet)
    assert (outcome.action, outcome.verdict) == ("pass", verdict)
    assert outcome.frame == bytes(packet)


def cut(packet: Packet, length: int) -> bytes:
    """The frame's first bytes, after all its lengths and checksums were filled in."""
    return bytes(packet)[:length]


TCP4 = frame(IP(src="198.18.3.4", dst=VIP4) / TCP(dport=80) / Raw(bytes(100)))
TCP6 = frame(IPv6(src="2001:db8:c::4", dst=VIP6) / TCP(dport=80) / Raw(bytes(100)))
QUOTE4 = frame(IP(src="192.0.2.1", dst=VIP4, len=28 + 22) / ICMP(type=3, code=4) / bytes(IP(src=VIP4) / TCP())[:22])
MALFORMED = [
    ("IPv4 header cut off", cut(TCP4, 33), "drop_bad_ip"),
    ("IPv4 packet shorter than it says", cut(TCP4, 120), "drop_bad_length"),
    ("IPv6 header cut off", cut(TCP6, 50), "drop_bad_ip"),
    ("IPv6 packet shorter than it says", cut(TCP6, 120), "drop_bad_length"),
    ("version 5", frame(IP(src="198.18.3.4", dst=VIP4, version=5) / TCP(dport=80)), "drop_bad_ip"),
    (
        "IPv4 header length 4 words",
        frame(IP(src="198.18.3.4", dst=VIP4, ihl=4) / TCP(dport=80)),
        "drop_bad_ip",
    ),
    (
        "total length below the header",
        frame(IP(src="198.18.3.4", dst=VIP4, len=19) / TCP(dport=80)),
        "drop_bad_length",
    ),
    ("TCP cut off by the total length", frame(IP(dst=VIP4, len=30) / TCP(dport=80)), "drop_bad_l4"),
    ("TCP cut off by the payload length", frame(IPv6(dst=VIP6, plen=10) / TCP(dport=80)), "drop_bad_l4"),
    ("UDP header cut off", frame(IP(dst=VIP4, proto=17) / Raw(b"1234")), "drop_bad_l4"),
    ("quoted TCP cut off", QUOTE4, "drop_bad_icmp_quote"),
]


@pytest.mark.parametrize(("packet", "verdict"), [pytest.param(p, v, id=name) for name, p, v in MALFORMED])
def test_what_is_malformed_is_dropped_and_counted_by_its_reason(
    director: MakeDirector, packet: Packet | bytes, verdict: str
) -> None:
    outcome = director().run(packet)
    assert (outcome.action, outcome.verdict) == ("drop", verdict)


@pytest.mark.parametrize("whole", [TCP4, TCP6], ids=["IPv4", "IPv6"])
def test_no_truncation_of_a_packet_is_tunnelled(director: MakeDirector, whole: Packet) -> None:
    bench = director()
    for length in range(14, len(whole)):
        assert bench.run(cut(whole, length)).action == "drop", f"at {length} bytes"


def test_ethernet_padding_is_not_tunnelled(director: MakeDirector) -> None:
    bench = director()
    inner = IP(src="198.18.3.4", dst=VIP4) / TCP(sport=4711, dport=80)
    outcome = bench.run(bytes(frame(inner)) + b"\xee" * 6)
    assert_tunnelled(outcome, inner, expected(bench, "198.18.3.4", VIP4, (4711, 80), "tcp"))


@pytest.mark.parametrize("tags", [[5], [100, 5]])
def test_vlan_tags_are_stepped_over_and_kept(director: MakeDirector, tags: list[int]) -> None:
    bench = director()
    inner = IP(src="198.18.3.4", dst=VIP4) / TCP(sport=4711, dport=80)
    outcome = bench.run(frame(*(Dot1Q(vlan=tag) for tag in tags), inner))
    assert outcome.verdict == "encapsulated"
    packet = outcome.packet
    assert [packet[Dot1Q:number].vlan for number in range(1, len(tags) + 1)] == tags
    assert check_tunnel(Ether(bytes(Ether(src=packet.src, dst=packet.dst) / packet[IP]))) == []


def test_ipv6_extension_headers_are_stepped_over(director: MakeDirector) -> None:
    bench = director()
    extensions = IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting() / IPv6ExtHdrFragment()
    inner = IPv6(src="2001:db8:c::4", dst=VIP6) / extensions / TCP(sport=4711, dport=80)
    found = expected(bench, "2001:db8:c::4", VIP6, (4711, 80), "tcp")
    assert_tunnelled(bench.run(frame(inner)), inner, found)


@pytest.mark.parametrize("family", [4, 6])
def test_all_pieces_of_a_datagram_go_to_the_same_proxy(director: MakeDirector, family: int) -> None:
    bench = director()
    src, dst = ("198.18.3.4", VIP4) if family == 4 else ("2001:db8:c::4", VIP6)
    data = UDP(sport=4711, dport=53) / Raw(bytes(4000))
    if family == 4:
        pieces = fragment(IP(src=src, dst=dst) / data, fragsize=1400)
    else:
        pieces = fragment6(IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(id=7) / data, 1400)
    assert len(pieces) > 2
    found = expected(bench, src, dst, (0, 53), "udp")
    for piece in pieces:
        assert_tunnelled(bench.run(frame(piece)), piece, found)


def test_fragments_without_a_clear_table_are_passed(director: MakeDirector) -> None:
    piece = frame(IP(src="198.18.3.4", dst=VIP4, frag=9, proto=6) / Raw(bytes(64)))
    two = [table(str(port), binds=binds({"ip": VIP4, "port": port})) for port in (80, 81)]
    assert director(*two).run(piece).verdict == "pass_fragment"
    around = table("around", binds=binds({"ip": "203.0.113.0/24", "port": 81}))
    assert director(two[0], around).run(piece).verdict == "pass_fragment"
    assert director(hash_fields={"src_addr": True, "src_port": True}).run(piece).verdict == "pass_fragment"


def test_director_answers_echoes_if_configured(director: MakeDirector) -> None:
    bench = director(forward_icmp_ping_responses=False, icmp_echo="answer")
    for request in (
        IP(src="198.18.3.4", dst=VIP4, ttl=9) / ICMP(type=8, id=7, seq=1) / Raw(b"ping!"),
        IPv6(src="2001:db8:c::4", dst=VIP6, hlim=9) / ICMPv6EchoRequest(id=7, data=b"ping!"),
    ):
        outcome = bench.run(frame(request))
        assert (outcome.action, outcome.verdict) == ("tx", "answered_echo")
        reply = outcome.packet
        assert (reply.src, reply.dst) == (DIRECTOR_MAC, ROUTER_MAC)
        assert (reply.payload.src, reply.payload.dst) == (request.dst, request.src)
        assert_checksums_right(reply)
        assert bytes(reply)[-5:] == b"ping!"


def assert_checksums_right(packet: Packet) -> None:
    written = bytes(packet)
    for layer in (IP, ICMP, ICMPv6PacketTooBig, ICMPv6EchoReply):
        if layer in packet:
            packet[layer].delfieldval("chksum" if layer in (IP, ICMP) else "cksum")
    assert bytes(packet) == written


def test_a_client_gets_an_error_for_a_packet_that_is_too_big(director: MakeDirector) -> None:
    bench = director(mtu=1500)
    fits = IP(src="198.18.3.4", dst=VIP4) / TCP(dport=80) / Raw(bytes(1500 - 44 - 40))
    assert bench.run(frame(fits)).verdict == "encapsulated"
    too_big = IP(src="198.18.3.4", dst=VIP4, flags="DF") / TCP(dport=80) / Raw(bytes(1500 - 44 - 39))
    outcome = bench.run(frame(too_big))
    assert (outcome.action, outcome.verdict) == ("tx", "answered_too_big")
    error = outcome.packet
    assert (error.src, error.dst) == (DIRECTOR_MAC, ROUTER_MAC)
    assert (error[IP].src, error[IP].dst) == (VIP4, "198.18.3.4")
    assert (error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (3, 4, 1456)
    assert bytes(error[ICMP].payload) == bytes(too_big)[:96]
    assert_checksums_right(error)
    too_big6 = IPv6(src="2001:db8:c::4", dst=VIP6) / TCP(dport=80) / Raw(bytes(1500))
    error = bench.run(frame(too_big6)).packet
    assert (error[IPv6].src, error[IPv6].dst) == (VIP6, "2001:db8:c::4")
    assert error[ICMPv6PacketTooBig].mtu == 1456
    assert bytes(error[ICMPv6PacketTooBig].payload) == bytes(too_big6)[:256]
    assert_checksums_right(error)


def test_the_director_does_not_flood_a_client_with_errors(director: MakeDirector) -> None:
    bench = director(mtu=1500)
    too_big = frame(IP(src="198.18.3.4", dst=VIP4, flags="DF") / TCP(dport=80) / Raw(bytes(1500)))
    verdicts = Counter(bench.run(too_big).verdict for _ in range(1000))
    assert 1 <= verdicts["answered_too_big"] <= 500, "100 at once on each CPU, and 100 a second"
    assert verdicts["answered_too_big"] + verdicts["drop_answer_limit"] == 1000


def test_the_director_does_not_flood_a_pinged_ones_victim(director: MakeDirector) -> None:
    """Who pings may be forged: echoes have a limit of their own, which leaves that of errors alone."""
    bench = director(forward_icmp_ping_responses=False, icmp_echo="answer", mtu=1500)
    ping = frame(IP(src="198.18.3.4", dst=VIP4) / ICMP(type=8))
    too_big = frame(IP(src="198.18.3.4", dst=VIP4, flags="DF") / TCP(dport=80) / Raw(bytes(1500)))
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        start = time.monotonic()
        verdicts = Counter(bench.run(ping).verdict for _ in range(3000))
        seconds = time.monotonic() - start
        time.sleep(0.05)  # in which a few errors are earned, whatever earlier tests have used
        assert bench.run(too_big).verdict == "answered_too_big"
    finally:
        os.sched_setaffinity(0, cpus)
    assert 0 < verdicts["answered_echo"] <= 1000 * (int(seconds) + 2)
    assert verdicts["answered_echo"] + verdicts["drop_answer_limit"] == 3000


@pytest.mark.parametrize("echo", ["forward", "answer"])
@pytest.mark.parametrize("family", [4, 6])
def test_fragments_of_an_echo_follow_the_whole_echo(director: MakeDirector, family: int, echo: str) -> None:
    bench = director(forward_icmp_ping_responses=echo == "forward", icmp_echo=echo)
    src, dst = ("198.18.3.4", VIP4) if family == 4 else ("2001:db8:c::4", VIP6)
    if family == 4:
        pieces = fragment(IP(src=src, dst=dst) / ICMP(type=8) / Raw(bytes(3000)), fragsize=1400)
    else:
        ping = ICMPv6EchoRequest(data=bytes(3000))
        pieces = fragment6(IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(id=7) / ping, 1400)
    assert len(pieces) > 2
    for piece in pieces:
        assert_tunnelled(bench.run(frame(piece)), piece, expected(bench, src, dst, (0, 0), "icmp"))


def test_ecn_is_copied_to_the_outer_header_and_dscp_on_request(director: MakeDirector) -> None:
    for copy, outer in ((False, 0x01), (True, 0xB9)):
        bench = director(copy_dscp=copy)
        for inner in (IP(src="198.18.3.4", dst=VIP4, tos=0xB9), IPv6(src="2001:db8:c::4", dst=VIP6, tc=0xB9)):
            packet = bench.run(frame(inner / TCP(dport=80))).packet
            assert packet[IP].tos == outer
            assert_checksums_right(packet)


def test_packets_are_dropped_while_the_next_hop_is_not_known(director: MakeDirector) -> None:
    bench = director()
    bench.datapath.write(bench.loaded.layout, bench.loaded.config, NetworkView(bytes.fromhex("020000000001"), 9000, {}))
    assert bench.run(TCP4).verdict == "drop_no_next_hop"


def test_traffic_is_counted_by_bind_and_backend_over_reloads(director: MakeDirector, tmp_path: Path) -> None:
    only = table("counted", binds=binds({"ip": VIP4, "port": 80}), backends=backends("10.7.0.1"))
    bench = director(only)
    for _ in range(3):
        bench.run(TCP4)
    bench.write(load_files(tmp_path, only | {"binds": binds({"ip": VIP4, "port": 80}, {"ip": VIP4, "port": 81})}))
    bench.run(TCP4)
    size = len(TCP4) - 14
    counts = read_traffic(bench.program, bench.datapath.traffic_entries())
    assert counts["bind", "counted", f"{VIP4}:80/tcp"] == (4, 4 * size)
    assert counts["bind", "counted", f"{VIP4}:81/tcp"] == (0, 0)
    assert counts["backend", "counted", "10.7.0.1"] == (4, 4 * size)


def binds(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"proto": "tcp", **entry} for entry in entries]


def backends(address: str) -> list[dict[str, Any]]:
    return [{"ip": address, "state": "active", "healthy": True}]


def test_the_more_specific_bind_wins(director: MakeDirector) -> None:
    """Exact, then the longest prefix, then the narrower range; each table is identified by its backend."""
    rules = [
        ("exact", {"ip": "203.0.113.10", "port": 80}, "10.0.0.21"),
        ("net16", {"ip": "203.0.0.0/16", "port_start": 1, "port_end": 65535}, "10.0.0.22"),
        ("net24", {"ip": "203.0.113.0/24", "port_start": 1000, "port_end": 2000}, "10.0.0.23"),
        ("net24-narrow", {"ip": "203.0.113.0/24", "port_start": 1500, "port_end": 1510}, "10.0.0.24"),
        ("host-range", {"ip": "203.0.113.10", "port_start": 1505, "port_end": 1600}, "10.0.0.25"),
        ("v6", {"ip": "2001:db8::/32", "port": 80}, "10.0.0.26"),
    ]
    bench = director(*(table(name, binds=binds(bind), backends=backends(ip)) for name, bind, ip in rules))
    cases = {
        ("203.0.113.10", 80): "10.0.0.21",
        ("203.0.113.10", 81): "10.0.0.22",
        ("203.0.113.10", 1504): "10.0.0.24",
        ("203.0.113.10", 1505): "10.0.0.25",
        ("203.0.113.10", 1600): "10.0.0.25",
        ("203.0.113.10", 1601): "10.0.0.23",
        ("203.0.113.11", 80): "10.0.0.22",
        ("203.0.113.11", 999): "10.0.0.22",
        ("203.0.113.11", 1000): "10.0.0.23",
        ("203.0.113.11", 1500): "10.0.0.24",
        ("203.0.113.11", 1510): "10.0.0.24",
        ("203.0.113.11", 1511): "10.0.0.23",
        ("203.0.113.11", 2001): "10.0.0.22",
        ("203.0.1.1", 65535): "10.0.0.22",
    }
    for (dst, port), backend in cases.items():
        inner = IP(src="198.18.3.4", dst=dst) / TCP(sport=4711, dport=port)
        outcome = bench.run(frame(inner))
        assert (outcome.verdict, outcome.packet[IP].dst) == ("encapsulated", backend), f"{dst}:{port}"
        assert_tunnelled(outcome, inner, expected(bench, "198.18.3.4", dst, (4711, port), "tcp"))
    assert bench.run(frame(IP(dst="203.1.0.1") / TCP(dport=80))).verdict == "pass_no_bind"
    v6 = IPv6(src="2001:db8:c::4", dst="2001:db8:9::9") / TCP(dport=80)
    assert bench.run(frame(v6)).packet[IP].dst == "10.0.0.26"


def test_an_echo_to_a_network_matches_the_longest_prefix(director: MakeDirector) -> None:
    wide = table("wide", binds=binds({"ip": "203.0.0.0/16", "port": 80}), backends=backends("10.0.0.22"))
    narrow = table("narrow", binds=binds({"ip": "203.0.113.0/24", "port": 80}), backends=backends("10.0.0.23"))
    bench = director(wide, narrow)
    for dst, backend in (("203.0.113.77", "10.0.0.23"), ("203.0.5.5", "10.0.0.22")):
        outcome = bench.run(frame(IP(src="198.18.3.4", dst=dst) / ICMP(type=8)))
        assert outcome.packet[IP].dst == backend
        assert list(expected(bench, "198.18.3.4", dst, (0, 0), "icmp").hops) == [ip_address(backend)]


def test_a_reload_replaces_tables_and_binds_as_a_whole(director: MakeDirector, tmp_path: Path) -> None:
    bench = director()
    to_80 = frame(IP(src="198.18.3.4", dst=VIP4) / TCP(dport=80))
    to_81 = frame(IP(src="198.18.3.4", dst=VIP4) / TCP(dport=81))
    for round_number in range(6):
        port, old, new = (81, to_80, to_81) if round_number % 2 == 0 else (80, to_81, to_80)
        backend = f"10.9.0.{round_number}"
        changed = table(binds=binds({"ip": VIP4, "port": port}), backends=backends(backend))
        bench.write(load_files(tmp_path, changed))
        assert bench.run(old).verdict == "pass_no_bind", "stale binds go"
        assert bench.run(new).packet[IP].dst == backend


def test_stale_binds_leave_no_trace_in_the_maps(director: MakeDirector, tmp_path: Path) -> None:
    bench = director(table(binds=binds({"ip": "203.0.113.0/24", "port": 80}, {"ip": VIP6, "port": 80})))
    sizes = []
    for _ in range(3):
        bench.write(load_files(tmp_path, table(binds=binds({"ip": VIP4, "port": 8080}))))
        sizes.append((used_binds(bench), len(list(bench.program.maps["wide_binds"]))))
    assert sizes[1:] == [(6, 0)] * 2, "in each generation: the bind, the echoes and the fragments to its address"


def used_binds(bench: DirectorBench) -> int:
    return int((bench.program.view("binds")["key"]["family"] != 0).sum())


def test_a_layout_larger_than_the_maps_changes_nothing(director: MakeDirector, tmp_path: Path) -> None:
    bench = director()
    many = [{"ip": f"10.1.{n // 256}.{n % 256}", "state": "active", "healthy": True} for n in range(1200)]
    with pytest.raises(Exception, match="do not fit into the maps"):
        bench.write(
            load_files(
                tmp_path,
                table(backends=many[:600]),
                table("other", binds=binds({"ip": "192.0.2.1", "port": 80}), backends=many),
            )
        )
    inner = IP(src="198.18.3.4", dst=VIP4) / TCP(sport=4711, dport=80)
    assert bench.run(frame(inner)).packet[IP].dst.startswith("10.0.0.")


def test_ten_thousand_binds_and_4096_tables_find_their_own(director: MakeDirector) -> None:
    def vip(number: int) -> str:
        return str(IPv4Address("203.0.0.0") + number)

    def own(number: int) -> dict[str, Any]:
        """A table is identified by its backend, which it shares with every 64th."""
        ports = [{"ip": vip(number), "port": port} for port in (80, 443, 8080)[: 2 + number % 2]]
        return table(f"t{number}", binds=binds(*ports), backends=backends(f"10.8.0.{number % 64}"))

    bench = director(*(own(number) for number in range(4096)), icmp_echo="pass", forward_icmp_ping_responses=False)
    assert sum(len(one.binds) for one in bench.loaded.tables) == 10240
    assert bench.loaded.layout.num_slots == 65536, "one backend each: the same rows"
    for number in (0, 1, 77, 2048, 4094, 4095):
        for port in (80, 443):
            packet = bench.run(frame(IP(src="198.18.3.4", dst=vip(number)) / TCP(dport=port))).packet
            assert packet[IP].dst == f"10.8.0.{number % 64}"
        bound = number % 2 == 1
        outcome = bench.run(frame(IP(src="198.18.3.4", dst=vip(number)) / TCP(dport=8080)))
        assert outcome.verdict == ("encapsulated" if bound else "pass_no_bind")


@dataclass(frozen=True)
class RoutedOut:
    """A network namespace in which a route leads to the proxies, by the interface of this index."""

    name: str
    unrouted: str
    index: int

    def run(self, bench: DirectorBench, packet: Packet) -> Outcome:
        return within(self.name, lambda: bench.run(packet))


@pytest.fixture(scope="module")
def routed_out() -> Iterator[RoutedOut]:
    names = [f"glb-out-{os.getpid()}", f"glb-none-{os.getpid()}"]
    try:
        for name in names:
            netns.create(name)
            netns.set_sysctls(name, {"net.ipv4.conf.all.forwarding": 1})
        yield RoutedOut(*names, within(names[0], set_up_a_way_out))
    finally:
        for name in names:
            netns.remove(name)


def set_up_a_way_out() -> int:
    """Returns the index of the interface that leads there."""
    with IPRoute() as netlink:
        netlink.link("set", index=1, state="up")
        netlink.link("add", ifname="out", kind="veth", peer="far", address="02:00:00:00:00:51")
        out, far = (netlink.link_lookup(ifname=name)[0] for name in ("out", "far"))
        netlink.addr("add", index=out, address="10.0.0.1", prefixlen=24)
        for index in (out, far):
            netlink.link("set", index=index, state="up")
        for last in (11, 12, 13):
            netlink.neigh("add", dst=f"10.0.0.{last}", lladdr="02:00:00:00:00:52", ifindex=out, state="permanent")
        return int(out)


def test_packets_leave_by_the_kernels_route_with_egress_fib(director: MakeDirector, routed_out: RoutedOut) -> None:
    """A test run's packets are received on the loopback interface; the route to the proxies uses another."""
    bench = director(egress="fib")
    inner = IP(src="198.18.3.4", dst=VIP4) / TCP(sport=4711, dport=80)
    assert within(routed_out.unrouted, lambda: bench.run(frame(inner))).verdict == "drop_no_route"
    outcome = routed_out.run(bench, frame(inner))
    assert (outcome.action, outcome.verdict) == ("redirect", "redirected")
    assert (outcome.packet.src, outcome.packet.dst) == ("02:00:00:00:00:51", "02:00:00:00:00:52")
    assert check_tunnel(outcome.packet) == []


Tags = tuple[tuple[int, int], ...]
TAGS: tuple[Tags, ...] = ((), ((0x8100, 7),), ((0x88A8, 9), (0x8100, 7)))


def tag_layers(tags: Tags) -> list[Packet]:
    return [(Dot1AD if protocol == 0x88A8 else Dot1Q)(vlan=identifier) for protocol, identifier in tags]


@pytest.mark.parametrize("after", TAGS, ids=["to-plain", "to-vlan", "to-qinq"])
@pytest.mark.parametrize("before", TAGS, ids=["from-plain", "from-vlan", "from-qinq"])
def test_a_routed_packet_has_the_vlan_tags_of_its_interface(
    director: MakeDirector, routed_out: RoutedOut, before: Tags, after: Tags
) -> None:
    """The interface of the kernel's lookup represents a VLAN device here, above the interface of the test run's packets
    or another: so the test needs no kernel with VLANs."""
    bench = director(egress="fib")
    inner = IP(src="198.18.3.4", dst=VIP4) / TCP(sport=4711, dport=80) / Raw(b"data")
    for below, verdict in ((LOOPBACK, "encapsulated"), (LOOPBACK + 1, "redirected")):
        vlans = {routed_out.index: Vlan(below, after)} if after else {}
        bench.write(bench.loaded, vlans)
        outcome = routed_out.run(bench, frame(*tag_layers(before), inner))
        assert outcome.verdict == (verdict if after else "redirected")
        ethernet = Ether(src="02:00:00:00:00:51", dst="02:00:00:00:00:52")
        outer = outcome.packet[IP]
        assert outcome.frame == bytes(reduce(truediv, [*tag_layers(after), outer], ethernet))
        assert check_tunnel(ethernet / outer) == []
        assert outcome.frame.endswith(bytes(inner))


def test_a_packet_beyond_the_mtu_of_its_route_is_too_big(director: MakeDirector, routed_out: RoutedOut) -> None:
    bench = director(egress="fib")
    inner = IP(src="198.18.3.4", dst=VIP4, flags="DF") / TCP(sport=4711, dport=80) / Raw(bytes(1500))
    assert routed_out.run(bench, frame(inner)).verdict == "drop_too_big"


def test_vlan_devices_that_come_and_go_are_followed(director: MakeDirector) -> None:
    bench = director(egress="fib")
    surroundings = NetworkView(bytes.fromhex("020000000001"), 9000, {})

    def write(vlans: dict[int, Vlan]) -> bool:
        return bench.datapath.write(bench.loaded.layout, bench.loaded.config, replace(surroundings, vlans=vlans))

    write({})
    for vlans in ({7: Vlan(2, ((0x8100, 5),))}, {7: Vlan(3, ((0x8100, 6),)), 8: Vlan(3, ((0x8100, 5),))}, {}):
        assert write(vlans)
        assert not write(vlans), "nothing is written twice"
        table = bench.program.maps["vlans"]
        assert {int(key): int(table[key]["ifindex"]) for key in table} == {i: vlan.index for i, vlan in vlans.items()}
