# SPDX-License-Identifier: MIT
"""The verdict counters of an attached program, read through their pin without disturbing it."""

import os
import struct
from collections.abc import Mapping

from glb.datapath import libbpf
from glb.datapath.kernel import map_info
from glb.datapath.pins import open_pinned, pin_dir
from glb.datapath.program import Program
from glb.datapath.traffic import Counted
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


def counters_of(program: Program) -> Mapping[str, int]:
    """The same, of a program of this process."""
    return _sum(program.maps["counters"].fd, program.name)


def read_traffic(program: Program, entries: Mapping[Counted, int]) -> dict[Counted, tuple[int, int]]:
    """Packets and bytes of each bind and backend, all CPUs summed; entries: who has which entry of the map."""
    return _traffic(program.maps["traffic"].fd, entries)


def read_pinned_traffic(interface: str, entries: Mapping[Counted, int]) -> dict[Counted, tuple[int, int]]:
    """The same, of an attached program."""
    fd = open_pinned(interface, "traffic")
    try:
        return _traffic(fd, entries)
    finally:
        os.close(fd)


def _traffic(fd: int, entries: Mapping[Counted, int]) -> dict[Counted, tuple[int, int]]:
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
    """Raise DatapathError if a map's values have another size: the kernel would copy more than there is room for, or
    other counters."""
    if map_info(fd).value_size != size:
        raise DatapathError(
            "the attached program's counters are of another version of glb than this command: restart its daemon first"
        )


def attached_program(interface: str) -> str:
    """Whether "director" or "proxy" is attached to the interface, told by its pinned maps. Raises DatapathError where
    nothing is attached, NotAllowedError."""
    os.close(open_pinned(interface, "counters"))
    return "director" if (pin_dir(interface) / "rows").exists() else "proxy"
