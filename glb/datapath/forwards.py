"""What an attached proxy has sent on, by the hop that it went to, read through its pin without disturbing it."""

import os
import struct
from ipaddress import IPv4Address

from glb.datapath import libbpf
from glb.datapath.pins import pin_dir
from glb.datapath.program import Program

_KEY_BYTES = 4
_COUNT_BYTES = 8


def read_forwards(interface: str) -> dict[IPv4Address, int]:
    """Packets sent on by next hop, all CPUs summed, in the order of the addresses.

    Nothing of a program that has no such map, because an earlier glb has attached it. Raises DatapathError.
    """
    path = pin_dir(interface) / "forwards"
    if not path.exists():
        return {}
    fd = libbpf.open_pin(path)
    try:
        return _read(fd)
    finally:
        os.close(fd)


def forwards_of(program: Program) -> dict[IPv4Address, int]:
    """The same, of a program of this process."""
    return _read(program.maps["forwards"].fd)


def _read(fd: int) -> dict[IPv4Address, int]:
    size = libbpf.possible_cpus() * _COUNT_BYTES
    found = {IPv4Address(key): libbpf.lookup_if_there(fd, key, size) for key in libbpf.keys(fd, _KEY_BYTES)}
    return {hop: _sum(raw) for hop, raw in sorted(found.items()) if raw is not None}


def _sum(raw: bytes) -> int:
    return sum(count for (count,) in struct.iter_unpack("=Q", raw))
