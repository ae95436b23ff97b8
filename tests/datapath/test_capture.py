# SPDX-License-Identifier: MIT
"""A capture program does what its original does, over the same maps, and reports each packet."""

import time
from collections.abc import Callable, Iterator

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from glb.capture.filter import CaptureFilter, packed, parse_filter
from glb.capture.program import CaptureProgram, load_capture_programs
from glb.capture.records import NANOSECONDS, CapturedPacket, RecordReader
from glb.datapath import libbpf
from glb.datapath.counters import counters_of
from glb.datapath.maps import Rings
from glb.datapath.spec import with_maps
from glb.datapath.verdicts import verdicts_of
from glb.scapy import GLBGUE

from .conftest import ACTIONS, DIRECTOR_MAC, PROXY_MAC, Bench, DirectorBench, ProxyBench
from .test_director import frame

VIP, VIP6 = "203.0.113.10", "2001:db8:f::10"
CLIENT, CLIENT6 = "198.18.0.7", "2001:db8:c::7"

FRAMES = {
    "encapsulated": frame(IP(src=CLIENT, dst=VIP) / TCP(sport=4711, dport=80)),
    "encapsulated, IPv6": frame(IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=4711, dport=53) / Raw(b"x" * 700)),
    "an echo": frame(IP(src=CLIENT, dst=VIP) / ICMP(id=7)),
    "no bind": frame(IP(src=CLIENT, dst=VIP) / TCP(sport=4711, dport=81)),
    "not IP": Ether(dst=DIRECTOR_MAC) / ARP(),
    "cut off": Ether(bytes(frame(IP(src=CLIENT, dst=VIP) / TCP(dport=80)))[:44]),
}


class Watched(Bench):
    """A capture program, and the packets that it reported."""

    def __init__(self, original: Bench, capturing: CaptureProgram) -> None:
        super().__init__(original.program)
        self.original = original
        self.capturing = capturing
        self.captured: list[CapturedPacket] = []
        reader = RecordReader("lo", self.program.name, capturing.maps["capture_state"].value["record"])
        self._rings = Rings([(capturing.maps["capture_ring"].fd, lambda raw: self.captured.append(reader.read(raw)))])

    def show(self, wanted: CaptureFilter, until: int | None = None) -> None:
        ends = time.monotonic_ns() + 60 * NANOSECONDS if until is None else until
        table = self.capturing.maps["capture_filter"]
        table[0] = packed(wanted, table.value, verdicts_of(self.program.name), ends)

    def pass_through(self, data: bytes) -> tuple[str, bytes]:
        action, out = libbpf.run_on_frame(self.capturing.fd, data)
        self._rings.poll(0)
        return ACTIONS[action], out


@pytest.fixture(scope="module")
def watch() -> Iterator[Callable[[Bench], Watched]]:
    """Loads each program's capture program once; its filter is empty to begin with."""
    loaded: dict[int, CaptureProgram] = {}

    def make(bench: Bench) -> Watched:
        fd = bench.program.fd
        if fd not in loaded:
            [loaded[fd]] = load_capture_programs([bench.program])
        watched = Watched(bench, loaded[fd])
        watched.show(CaptureFilter())
        return watched

    yield make
    for program in loaded.values():
        program.close()


@pytest.fixture
def capturing_director(director: Callable[..., DirectorBench], watch: Callable[[Bench], Watched]) -> Watched:
    return watch(director())


def test_a_capture_program_does_what_its_original_does(capturing_director: Watched) -> None:
    for name, packet in FRAMES.items():
        data = bytes(packet)
        outcome = capturing_director.original.run(data)
        before = counters_of(capturing_director.program)

        action, out = capturing_director.pass_through(data)

        assert (action, out) == (outcome.action, outcome.frame), name
        assert counters_of(capturing_director.program)[outcome.verdict] == before[outcome.verdict] + 1, (
            "counters are shared"
        )
        captured = capturing_director.captured.pop()
        assert captured.verdict.name == outcome.verdict, name
        assert (captured.before.data, captured.before.length) == (data, len(data)), name
        assert (captured.after.data, captured.after.length) == (out, len(out)), name
        assert not capturing_director.captured


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("client 198.18.0.7", {"encapsulated", "an echo", "no bind"}),
        ("client 198.18.0.0/16 and port 80", {"encapsulated"}),
        ("client 198.18.0.8", set()),
        ("client 2001:db8:c::/64", {"encapsulated, IPv6"}),
        ("vip 2001:db8:f::10 port 53 proto udp client-port 4711", {"encapsulated, IPv6"}),
        ("vip 2001:db8:f::11", set()),
        ("proto icmp", {"an echo"}),
        ("verdict drop", {"cut off"}),
        ("verdict pass_no_bind", {"no bind"}),
        ("verdict pass", {"no bind", "not IP"}),
    ],
)
def test_only_packets_that_match_the_filter_are_shown(capturing_director: Watched, words: str, shown: set[str]) -> None:
    capturing_director.show(parse_filter([words]))
    seen = set()
    for name, packet in FRAMES.items():
        capturing_director.pass_through(bytes(packet))
        if capturing_director.captured:
            seen.add(name)
            capturing_director.captured.clear()
    assert seen == shown


def test_frames_are_kept_up_to_the_filters_length(capturing_director: Watched) -> None:
    capturing_director.show(CaptureFilter(bytes=100))
    data = bytes(FRAMES["encapsulated, IPv6"])

    _, out = capturing_director.pass_through(data)

    [captured] = capturing_director.captured
    assert (captured.before.data, captured.before.length) == (data[:100], len(data))
    assert (captured.after.data, captured.after.length) == (out[:100], len(out))


def test_a_jumbo_frame_is_shown_to_the_limit(capturing_director: Watched) -> None:
    data = bytes(frame(IP(src=CLIENT, dst=VIP) / UDP(sport=4711, dport=53) / Raw(b"x" * 8000)))

    _, out = capturing_director.pass_through(data)

    [captured] = capturing_director.captured
    assert (captured.before.data, captured.before.length) == (data[:2047], len(data))
    assert (captured.after.data, captured.after.length) == (out[:2047], len(out))


def test_of_many_packets_a_share_is_shown(capturing_director: Watched) -> None:
    capturing_director.show(CaptureFilter(one_in=10))
    data = bytes(FRAMES["encapsulated"])

    for _ in range(5000):
        capturing_director.pass_through(data)

    assert (
        300 < len(capturing_director.captured) < 800
    )  # 500 expected; further off than 9 standard deviations is no chance


def test_no_packet_is_reported_after_the_lease(capturing_director: Watched) -> None:
    capturing_director.show(CaptureFilter(), until=time.monotonic_ns() - 1)
    for packet in FRAMES.values():
        capturing_director.pass_through(bytes(packet))
    assert capturing_director.captured == []


def test_a_proxys_capture_shows_the_tunnel_and_the_packet(proxy: ProxyBench, watch: Callable[[Bench], Watched]) -> None:
    inner = IP(src=CLIENT, dst=VIP) / UDP(sport=4711, dport=53) / Raw(b"question")
    data = bytes(
        Ether(dst=PROXY_MAC)
        / IP(src="10.0.0.1", dst="10.0.0.11")
        / UDP(sport=0x8001, dport=19523, chksum=0)
        / GLBGUE(hops=["10.0.0.12"])
        / inner
    )
    bench = watch(proxy)
    bench.show(parse_filter([f"client {CLIENT} and vip {VIP} and port 53"]))

    action, out = bench.pass_through(data)

    [captured] = bench.captured
    assert (action, captured.verdict.name) == ("pass", "taken_connectionless")
    assert captured.before.data == data
    assert captured.after.data == out
    assert captured.after.data.endswith(b"question")


def test_only_instructions_that_load_a_map_are_changed() -> None:
    load_map = bytes.fromhex("1811000007000000") + bytes(8)
    load_number = bytes.fromhex("1801000007000000") + bytes(8)
    other_map = bytes.fromhex("1812000008000000") + bytes(8)

    changed = with_maps(load_map + load_number + other_map, {7: 99})

    assert changed == bytes.fromhex("1811000063000000") + bytes(8) + load_number + other_map
