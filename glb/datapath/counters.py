# SPDX-License-Identifier: MIT
"""The counters of an attached program, read through its pinned maps: verdicts, traffic, packets to peer proxies."""

import os
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from ipaddress import IPv4Address

from glb.datapath import libbpf
from glb.datapath.generation import TrafficOwner
from glb.datapath.kernel import map_info
from glb.datapath.pins import open_pinned
from glb.datapath.program import LoadedProgram
from glb.datapath.verdicts import verdicts_of
from glb.errors import DatapathError

_TRAFFIC = struct.Struct("=QQ")  # struct traffic of bpf/director_maps.h, on one CPU


def read_counters(interface: str, program: str) -> dict[str, int]:
    """Packets by verdict since the program was attached, all CPUs summed.

    program: "director" or "proxy". Raises DatapathError where nothing is attached, NotAllowedError.
    """
    fd = open_pinned(interface, "counters")
    try:
        return _sum(fd, program)
    finally:
        os.close(fd)


def counters_of(program: LoadedProgram) -> Mapping[str, int]:
    """Packets by verdict of a program of this process."""
    return _sum(program.maps["counters"].fd, program.name)


def read_traffic(program: LoadedProgram, entries: Mapping[TrafficOwner, int]) -> dict[TrafficOwner, tuple[int, int]]:
    """Packets and bytes of each bind and backend, all CPUs summed; entries: the owners' entries in the map."""
    return _traffic(program.maps["traffic"].fd, entries)


def read_pinned_traffic(interface: str, entries: Mapping[TrafficOwner, int]) -> dict[TrafficOwner, tuple[int, int]]:
    """Packets and bytes as `read_traffic`, of an attached program."""
    fd = open_pinned(interface, "traffic")
    try:
        return _traffic(fd, entries)
    finally:
        os.close(fd)


def _traffic(fd: int, entries: Mapping[TrafficOwner, int]) -> dict[TrafficOwner, tuple[int, int]]:
    _require_size(fd, _TRAFFIC.size)
    cpus = libbpf.possible_cpus()
    counts = {}
    for owner, entry in entries.items():
        raw = libbpf.lookup(fd, struct.pack("=I", entry), cpus * _TRAFFIC.size)
        packets, size = (sum(column) for column in zip(*_TRAFFIC.iter_unpack(raw), strict=True))
        counts[owner] = (packets, size)
    return counts


def _sum(fd: int, program: str) -> dict[str, int]:
    verdicts = verdicts_of(program)
    cpus = libbpf.possible_cpus()
    width = 8 * len(verdicts)
    _require_size(fd, width)
    raw = libbpf.lookup(fd, struct.pack("=I", 0), cpus * width)
    per_cpu = struct.iter_unpack(f"={len(verdicts)}Q", raw)
    totals = [sum(column) for column in zip(*per_cpu, strict=True)]
    return {verdict.name: total for verdict, total in zip(verdicts, totals, strict=True) if verdict.name != "continue"}


def _require_size(fd: int, size: int) -> None:
    """Raise DatapathError if a map's values have another size: the kernel would write beyond the buffer, or the
    counters would be wrong."""
    if map_info(fd).value_size != size:
        raise DatapathError(
            "the attached program's counters are of another version of glb than this command: restart its daemon first"
        )


NEXT_HOP = struct.Struct("=QQ")
"""struct next_hop of bpf/proxy_maps.h, on one CPU: the next hop's MAC, and packets."""

_KEY_BYTES = 4
_WANTED = struct.Struct("=Q")  # a value of `wanted_hops`: packets


def read_forwards(interface: str) -> dict[IPv4Address, int]:
    """Forwarded packets by hop, all CPUs summed, in the order of the addresses.

    Empty for a program of an earlier glb, which does not count them. Raises DatapathError.
    """
    with ExitStack() as opened:
        fds = [open_pinned(interface, name) for name in ("next_hops", "wanted_hops")]
        for fd in fds:
            opened.callback(os.close, fd)
        if [map_info(fd).value_size for fd in fds] != [NEXT_HOP.size, _WANTED.size]:
            return {}
        return _read(*fds)


def forwards_of(program: LoadedProgram) -> dict[IPv4Address, int]:
    """Forwarded packets as `read_forwards`, of a program of this process."""
    return _read(program.maps["next_hops"].fd, program.maps["wanted_hops"].fd)


def packets_to(value: bytes) -> list[int]:
    """The packets of each CPU in a value of `next_hops`."""
    return [packets for _, packets in NEXT_HOP.iter_unpack(value)]


def _read(known: int, wanted: int) -> dict[IPv4Address, int]:
    """A hop that received packets before it was resolved is in both maps."""
    found: Counter[IPv4Address] = Counter()
    for key, value in _entries(known, libbpf.possible_cpus() * NEXT_HOP.size):
        found[IPv4Address(key)] += sum(packets_to(value))
    for key, value in _entries(wanted, _WANTED.size):
        found[IPv4Address(key)] += _WANTED.unpack(value)[0]
    return {hop: packets for hop, packets in sorted(found.items()) if packets}


def _entries(fd: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    for key in libbpf.keys(fd, _KEY_BYTES):
        value = libbpf.lookup_if_there(fd, key, size)
        if value is not None:
            yield key, value
