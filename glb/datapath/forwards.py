# SPDX-License-Identifier: MIT
"""What an attached proxy has sent on, by the hop that it went to, read through its pin without disturbing it."""

import os
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address

from glb.datapath import libbpf
from glb.datapath.kernel import map_info
from glb.datapath.pins import open_pinned
from glb.datapath.program import Program

NEXT_HOP = struct.Struct("=QQ")
"""struct next_hop of bpf/proxy_maps.h, on one CPU: the MAC on the way, and packets."""

_KEY_BYTES = 4
_WANTED = struct.Struct("=Q")  # a value of `wanted_hops`: packets


def read_forwards(interface: str) -> dict[IPv4Address, int]:
    """Packets sent on by next hop, all CPUs summed, in the order of the addresses.

    Nothing of a program that does not count them, because an earlier glb has attached it. Raises DatapathError.
    """
    with ExitStack() as opened:
        fds = [open_pinned(interface, name) for name in ("next_hops", "wanted_hops")]
        for fd in fds:
            opened.callback(os.close, fd)
        if [map_info(fd).value_size for fd in fds] != [NEXT_HOP.size, _WANTED.size]:
            return {}
        return _read(*fds)


def forwards_of(program: Program) -> dict[IPv4Address, int]:
    """The same, of a program of this process."""
    return _read(program.maps["next_hops"].fd, program.maps["wanted_hops"].fd)


def packets_to(value: bytes) -> list[int]:
    """What each CPU has counted, of a value of `next_hops`."""
    return [packets for _, packets in NEXT_HOP.iter_unpack(value)]


def _read(known: int, wanted: int) -> dict[IPv4Address, int]:
    """A hop that was wanted before the way to it was known is in both maps."""
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
