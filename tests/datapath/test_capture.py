# SPDX-License-Identifier: MIT
"""A twin that captures does what the program does that it stands in for, over the same maps, and tells of it."""

import time
from collections.abc import Callable, Iterator

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from glb.capture.records import NANOSECONDS, Reader, Visit
from glb.capture.wish import Wish, packed, parse
from glb.datapath import libbpf
from glb.datapath.counters import counters_of
from glb.datapath.maps import Rings
from glb.datapath.spec import with_maps
from glb.datapath.twin import Twin, load_twins
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
    """A twin of a program, and the visits that it told of."""

    def __init__(self, original: Bench, twin: Twin) -> None:
        super().__init__(original.program)
        self.original = original
        self.twin = twin
        self.visits: list[Visit] = []
        reader = Reader("lo", self.program.name, twin.maps["capture_visit"].value["record"])
        self._rings = Rings([(twin.maps["capture_ring"].fd, lambda raw: self.visits.append(reader.read(raw)))])

    def wish(self, wish: Wish, until: int | None = None) -> None:
        ends = time.monotonic_ns() + 60 * NANOSECONDS if until is None else until
        table = self.twin.maps["capture_wish"]
        table[0] = packed(wish, table.value, verdicts_of(self.program.name), ends)

    def pass_through(self, data: bytes) -> tuple[str, bytes]:
        action, out = libbpf.run_on_frame(self.twin.fd, data)
        self._rings.poll(0)
        return ACTIONS[action], out


@pytest.fixture(scope="module")
def watch() -> Iterator[Callable[[Bench], Watched]]:
    """Watches a program by its twin, of which each is loaded once; everything is shown, to begin with."""
    twins: dict[int, Twin] = {}

    def make(bench: Bench) -> Watched:
        fd = bench.program.fd
        if fd not in twins:
            [twins[fd]] = load_twins([bench.program], {"CAPTURE": libbpf.possible_cpus()})
        watched = Watched(bench, twins[fd])
        watched.wish(Wish())
        return watched

    yield make
    for twin in twins.values():
        twin.close()


@pytest.fixture
def director_twin(director: Callable[..., DirectorBench], watch: Callable[[Bench], Watched]) -> Watched:
    return watch(director())


def test_a_twin_does_with_each_packet_what_the_program_does_and_shows_it(director_twin: Watched) -> None:
    for name, packet in FRAMES.items():
        data = bytes(packet)
        outcome = director_twin.original.run(data)
        before = counters_of(director_twin.program)

        action, out = director_twin.pass_through(data)

        assert (action, out) == (outcome.action, outcome.frame), name
        assert counters_of(director_twin.program)[outcome.verdict] == before[outcome.verdict] + 1, "counters are shared"
        visit = director_twin.visits.pop()
        assert visit.verdict.name == outcome.verdict, name
        assert (visit.before.data, visit.before.length) == (data, len(data)), name
        assert (visit.after.data, visit.after.length) == (out, len(out)), name
        assert not director_twin.visits


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
def test_only_what_the_filter_names_is_shown(director_twin: Watched, words: str, shown: set[str]) -> None:
    director_twin.wish(parse([words]))
    seen = set()
    for name, packet in FRAMES.items():
        director_twin.pass_through(bytes(packet))
        if director_twin.visits:
            seen.add(name)
            director_twin.visits.clear()
    assert seen == shown


def test_of_a_frame_only_so_many_bytes_are_kept(director_twin: Watched) -> None:
    director_twin.wish(Wish(bytes=100))
    data = bytes(FRAMES["encapsulated, IPv6"])

    _, out = director_twin.pass_through(data)

    [visit] = director_twin.visits
    assert (visit.before.data, visit.before.length) == (data[:100], len(data))
    assert (visit.after.data, visit.after.length) == (out[:100], len(out))


def test_a_jumbo_frame_is_shown_to_the_limit(director_twin: Watched) -> None:
    data = bytes(frame(IP(src=CLIENT, dst=VIP) / UDP(sport=4711, dport=53) / Raw(b"x" * 8000)))

    _, out = director_twin.pass_through(data)

    [visit] = director_twin.visits
    assert (visit.before.data, visit.before.length) == (data[:2047], len(data))
    assert (visit.after.data, visit.after.length) == (out[:2047], len(out))


def test_of_many_packets_a_share_is_shown(director_twin: Watched) -> None:
    director_twin.wish(Wish(one_in=10))
    data = bytes(FRAMES["encapsulated"])

    for _ in range(5000):
        director_twin.pass_through(data)

    assert 300 < len(director_twin.visits) < 800  # 500 expected; further off than 9 standard deviations is no chance


def test_a_watcher_that_has_died_is_told_nothing_more(director_twin: Watched) -> None:
    director_twin.wish(Wish(), until=time.monotonic_ns() - 1)
    for packet in FRAMES.values():
        director_twin.pass_through(bytes(packet))
    assert director_twin.visits == []


def test_a_proxys_twin_shows_the_tunnel_and_what_was_in_it(
    proxy: ProxyBench, watch: Callable[[Bench], Watched]
) -> None:
    inner = IP(src=CLIENT, dst=VIP) / UDP(sport=4711, dport=53) / Raw(b"question")
    data = bytes(
        Ether(dst=PROXY_MAC)
        / IP(src="10.0.0.1", dst="10.0.0.11")
        / UDP(sport=0x8001, dport=19523, chksum=0)
        / GLBGUE(hops=["10.0.0.12"])
        / inner
    )
    bench = watch(proxy)
    bench.wish(parse([f"client {CLIENT} and vip {VIP} and port 53"]))

    action, out = bench.pass_through(data)

    [visit] = bench.visits
    assert (action, visit.verdict.name) == ("pass", "taken_connectionless")
    assert visit.before.data == data
    assert visit.after.data == out
    assert visit.after.data.endswith(b"question")


def test_maps_are_changed_in_the_instructions_that_load_them_alone() -> None:
    load_map = bytes.fromhex("1811000007000000") + bytes(8)
    load_number = bytes.fromhex("1801000007000000") + bytes(8)
    other_map = bytes.fromhex("1812000008000000") + bytes(8)

    changed = with_maps(load_map + load_number + other_map, {7: 99})

    assert changed == bytes.fromhex("1811000063000000") + bytes(8) + load_number + other_map
