# SPDX-License-Identifier: MIT
"""A program that runs is taken over by the next daemon, whatever became of the one before."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP

from glb.datapath import libbpf, source
from glb.datapath.counters import read_traffic
from glb.datapath.director import DirectorDatapath
from glb.datapath.generation import NetworkView
from glb.datapath.program import LoadedProgram
from glb.datapath.proxy import ProxyDatapath
from glb.datapath.rcu import wait_for_grace_period
from glb.director.sources import Loaded

from .conftest import Bench, load_files, table
from .test_director import frame

VIP, NETWORK = "203.0.113.10", "198.51.100.0/24"
SURROUNDINGS = NetworkView(
    mac=bytes.fromhex("020000000001"),
    mtu=9000,
    next_hops={IPv4Address(f"10.0.0.{n}"): bytes.fromhex("0200000000fe") for n in (11, 12, 13)},
)
PROBES = [
    frame(IP(src=f"198.18.0.{n}", dst=dst) / TCP(sport=4711, dport=port))
    for n in range(8)
    for dst, port in ((VIP, 80), (VIP, 81), (VIP, 82), ("198.51.100.7", 50), ("198.51.100.7", 150))
]
MMAPPED = ("state", "rows", "ranges", "binds", "contents")

WRITERS = ("glb.datapath.director", "glb.datapath.generation", "glb.datapath.maps", "glb.datapath.rcu")


@dataclass(frozen=True)
class Content:
    """What is written, and what becomes of the probes then."""

    loaded: Loaded
    outcomes: Sequence[tuple[str, bytes]]


def tables(own_port: int, last_port: int, seed: str) -> list[dict[str, Any]]:
    """With binds of one address and of a network, so that each map takes part."""
    exact = [{"ip": VIP, "proto": "tcp", "port": port} for port in (80, own_port)]
    wide = [{"ip": NETWORK, "proto": "tcp", "port_start": 1, "port_end": last_port}]
    return [table("web", binds=exact, seed=seed), table("wide", binds=wide, seed=seed)]


def outcomes(program: LoadedProgram) -> list[tuple[str, bytes]]:
    bench = Bench(program)
    return [(outcome.verdict, outcome.frame) for outcome in map(bench.run, PROBES)]


def write(datapath: DirectorDatapath, content: Loaded) -> bool:
    return datapath.write(content.layout, content.config, SURROUNDINGS)


def adopted(program: LoadedProgram) -> DirectorDatapath:
    datapath = DirectorDatapath.adopt(os.dup(program.fd))
    assert datapath is not None
    return datapath


def bytes_of(program: LoadedProgram) -> dict[str, Any]:
    """Everything that the maps hold."""
    return {
        name: each.view().tobytes()
        if name in MMAPPED
        else {key.tobytes(): libbpf.lookup(each.fd, key.tobytes(), each.value.itemsize) for key in each}
        for name, each in program.maps.items()
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectorDatapath]:
    """A loaded director, whose first daemon has died."""
    loaded = load_files(tmp_path_factory.mktemp("files"), *tables(81, 99, "a" * 32))
    with closing(DirectorDatapath.load(loaded.layout)) as datapath:
        write(datapath, loaded)
        yield datapath


@pytest.fixture(scope="module")
def contents(running: DirectorDatapath, tmp_path_factory: pytest.TempPathFactory) -> tuple[Content, Content]:
    """Two that differ in each map."""

    def made(*arguments: Any) -> Content:
        loaded = load_files(tmp_path_factory.mktemp("files"), *tables(*arguments))
        with closing(adopted(running.program)) as datapath:
            write(datapath, loaded)
        return Content(loaded, outcomes(running.program))

    first, second = made(82, 199, "b" * 32), made(81, 99, "a" * 32)
    assert sum(one != other for one, other in zip(first.outcomes, second.outcomes, strict=True)) > len(PROBES) / 3
    return first, second


def test_maps_with_the_same_content_are_adopted_without_a_write(
    running: DirectorDatapath, contents: tuple[Content, Content]
) -> None:
    with closing(adopted(running.program)) as datapath:
        write(datapath, contents[0].loaded)
        before = bytes_of(running.program)

    with closing(adopted(running.program)) as datapath:
        written = write(datapath, contents[0].loaded)

    assert not written
    assert bytes_of(running.program) == before


def test_other_content_is_switched_to_and_counters_continue(
    running: DirectorDatapath, contents: tuple[Content, Content]
) -> None:
    with closing(adopted(running.program)) as datapath:
        write(datapath, contents[0].loaded)
        outcomes(running.program)
        before = read_traffic(running.program, datapath.traffic_entries())

    with closing(adopted(running.program)) as datapath:
        assert write(datapath, contents[1].loaded)
        after = read_traffic(running.program, datapath.traffic_entries())

    assert outcomes(running.program) == contents[1].outcomes
    assert after["bind", "web", f"{VIP}:80/tcp"] == before["bind", "web", f"{VIP}:80/tcp"] > (0, 0)
    assert after["bind", "web", f"{VIP}:81/tcp"] == (0, 0)


def test_a_change_of_the_network_is_written(running: DirectorDatapath, contents: tuple[Content, Content]) -> None:
    with closing(adopted(running.program)) as datapath:
        write(datapath, contents[0].loaded)
    moved = NetworkView(SURROUNDINGS.mac, SURROUNDINGS.mtu, {IPv4Address("10.0.0.11"): bytes.fromhex("0200000000aa")})

    with closing(adopted(running.program)) as datapath:
        assert datapath.write(contents[0].loaded.layout, contents[0].loaded.config, moved)

    assert {verdict for verdict, _ in outcomes(running.program)} == {"encapsulated", "drop_no_next_hop", "pass_no_bind"}


def lines_of(files: Sequence[str], run: Any) -> list[tuple[str, int]]:
    """The lines of some files that a call passes, each once, in the order in which they are first met."""
    met: dict[tuple[str, int], None] = {}

    def note(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            met.setdefault((frame.f_code.co_filename, frame.f_lineno))
        return note

    sys.settrace(note)
    try:
        run()
    finally:
        sys.settrace(None)
    return list(met)


def die_at(place: tuple[str, int], run: Any) -> None:
    """Run in a process of its own, which is killed as it comes to a line."""

    def watch(frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and (frame.f_code.co_filename, frame.f_lineno) == place:
            os.kill(os.getpid(), signal.SIGKILL)
        return watch

    child = os.fork()
    if child == 0:
        sys.settrace(watch)
        run()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"{place} was not met"


def test_a_write_that_is_killed_leaves_one_whole_table(
    running: DirectorDatapath, contents: tuple[Content, Content]
) -> None:
    old, new = contents
    files = [module.__file__ for module in map(sys.modules.__getitem__, WRITERS) if module.__file__]
    with closing(adopted(running.program)) as datapath:
        write(datapath, old.loaded)
        places = lines_of(files, lambda: write(datapath, new.loaded))
        write(datapath, old.loaded)
    switched = set()
    victim = adopted(running.program)
    for place in places:
        die_at(place, lambda victim=victim: write(victim, new.loaded))  # type: ignore[misc]
        victim.close()
        found = outcomes(running.program)
        assert found in (old.outcomes, new.outcomes), place
        switched.add(found == new.outcomes)

        victim = adopted(running.program)
        assert write(victim, new.loaded) == (found == old.outcomes), place
        assert outcomes(running.program) == new.outcomes, place
        write(victim, old.loaded)
        assert outcomes(running.program) == old.outcomes, place
        assert {int(key["generation"]) for key in running.program.maps["wide_binds"]} == {in_use(running)}, place
        victim.close()
        victim = adopted(running.program)  # which does not know what rows are there, so the next write passes each line
    victim.close()
    assert switched == {True, False}, "before the switch and behind it"


def test_barrier_separates_the_last_write_from_the_switch(
    running: DirectorDatapath, contents: tuple[Content, Content], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain store is no barrier on arm64: packets could see the switch before the rows."""
    old, new = contents
    with closing(adopted(running.program)) as datapath:
        write(datapath, old.loaded)
        before = in_use(datapath)
        seen: list[tuple[int, dict[str, bytes]]] = []

        def wait_and_look() -> None:
            wait_for_grace_period()
            seen.append((in_use(datapath), mmapped_but_generation(datapath)))

        monkeypatch.setattr("glb.datapath.director.wait_for_grace_period", wait_and_look)
        write(datapath, new.loaded)

        assert [generation for generation, _ in seen] == [before, 1 - before]
        assert seen[0][1] == mmapped_but_generation(datapath), "nothing but the switch is written behind it"


def mmapped_but_generation(datapath: DirectorDatapath) -> dict[str, bytes]:
    held = {name: datapath.program.view(name).tobytes() for name in MMAPPED}
    return held | {"state": held["state"][np.dtype(np.uint32).itemsize :]}


def in_use(datapath: DirectorDatapath) -> int:
    return int(datapath.program.view("state")[0]["generation"])


def test_another_program_is_not_taken_over(
    running: DirectorDatapath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert ProxyDatapath.adopt(os.dup(running.program.fd)) is None
    shutil.copytree(source.source_dir(), tmp_path / "bpf")
    monkeypatch.setattr(source, "source_dir", lambda: tmp_path / "bpf")

    with closing(adopted(running.program)):
        pass  # the same source at another place
    with (tmp_path / "bpf" / "choose.h").open("a") as changed:
        changed.write("/* as a later version has it */\n")
    assert DirectorDatapath.adopt(os.dup(running.program.fd)) is None


SETTINGS: dict[str, Any] = {
    "macs": [b"\2\0\0\0\0\x0b", b"\2\0\0\0\0\x0c"],
    "places": {ip_network("203.0.113.0/24"): True, ip_network("203.0.113.1"): False, ip_network("2001:db8::1"): True},
    "sources": [IPv4Network("10.0.0.0/24"), IPv4Network("192.0.2.1/32")],
    "addresses": [IPv4Address("10.0.0.11"), IPv4Address("10.0.0.12")],
    "gateway": bytes.fromhex("0200000000aa"),
}
NEXT_HOPS = {IPv4Address(f"10.0.0.{n}"): bytes((2, 0, 0, 0, 0, n)) for n in (12, 13)}


def test_a_proxy_is_adopted_without_a_write() -> None:
    with closing(ProxyDatapath.load()) as earlier:
        earlier.write(**SETTINGS)
        earlier.write_next_hops(NEXT_HOPS)
        before = bytes_of(earlier.program)
        later = ProxyDatapath.adopt(os.dup(earlier.program.fd))
    assert later is not None
    with closing(later):
        later.write(**SETTINGS)
        later.write_next_hops(NEXT_HOPS)
        assert bytes_of(later.program) == before

        later.write(macs=SETTINGS["macs"], places={}, addresses=[IPv4Address("10.0.0.14")])
        later.write_next_hops({})
        after = bytes_of(later.program)
        assert [len(after[name]) for name in ("networks", "places", "addresses", "next_hops")] == [0, 0, 1, 0]
