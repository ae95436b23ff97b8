# SPDX-License-Identifier: MIT
"""What is recorded of each generation beside the director's maps, so that a later daemon knows what they hold.

That is a digest of its content, and the owner of each entry of the map `traffic`: an owner keeps its entry over reloads
and restarts.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glb.config.model import DirectorConfig
from glb.datapath.layout import Layout
from glb.datapath.tunnel import UNKNOWN_MAC
from glb.errors import DatapathError
from glb.network.refusal import PathRefusal
from glb.network.vlans import Vlan

_LONGEST_PACKET = 0xFFFF


@dataclass(frozen=True, slots=True)
class NetworkView:
    """What the director must know of its interface and of the network behind it.

    mac: the interface's own, 6 bytes. mtu: of the interface, or as configured, in bytes of IP packet. next_hops: the
    MAC on the way to each backend; one that is left out is not known. refusals: why not. vlans: the VLAN devices by
    which packets may leave, by their index; they are no part of a generation's content. mtus: of the paths to backends
    where it is less.
    """

    mac: bytes
    mtu: int
    next_hops: Mapping[IPv4Address, bytes]
    refusals: Mapping[IPv4Address, PathRefusal] = field(default_factory=dict)
    vlans: Mapping[int, Vlan] = field(default_factory=dict)
    mtus: Mapping[IPv4Address, int] = field(default_factory=dict)

    def path_mtu(self, backend: IPv4Address) -> int:
        """Bytes of IP packet that reach a backend."""
        return min(self.mtu, self.mtus.get(backend, self.mtu), _LONGEST_PACKET)


def content_digest(layout: Layout, config: DirectorConfig, network: NetworkView) -> bytes:
    """SHA-256. Other code may write the same layout in another way, so it makes another digest."""
    digest = hashlib.sha256()
    for part in _parts(layout, config, network):
        digest.update(struct.pack("=I", len(part)))
        digest.update(part)
    return digest.digest()


@cache
def _code() -> str:
    """A digest of this folder."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _parts(layout: Layout, config: DirectorConfig, network: NetworkView) -> Iterator[bytes]:
    yield repr((_code(), config, network.mac, network.mtu, layout.tables)).encode()
    for backend in layout.backends:
        next_hop = network.next_hops.get(backend.address, UNKNOWN_MAC)
        mtu = struct.pack("=I", network.path_mtu(backend.address))
        yield backend.address.packed + next_hop + mtu + backend.table_name.encode()
    for owner in layout.owners:
        yield f"{owner.table} {owner.label}".encode()
    for bind in layout.exact:
        yield bind.address.packed + struct.pack("=HHI?", bind.protocol, bind.port, bind.owner, bind.fragment)
    for wide in layout.wide:
        yield repr(wide).encode()


TrafficOwner = tuple[str, str, str]
"""("bind" or "backend", the table's name, the bind or the address)."""

MARK = np.dtype((np.void, 16))
Marks = npt.NDArray[Any]
"""One MARK an entry; zero where nobody has it."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The entries of one generation's owners, and those among them whose counts are another's, to be cleared."""

    entries: Mapping[TrafficOwner, int]
    fresh: tuple[int, ...]

    def mark(self, marks: Marks) -> None:
        """Set a generation's marks, in the place of what was there."""
        marks[:] = np.zeros((), MARK)
        for owner, entry in self.entries.items():
            marks[entry] = mark_of(owner)


def assign(owners: Iterable[TrafficOwner], in_use: Marks) -> Assignment:
    """Find an entry for each owner: its own in the generation that is in use, or one that nobody has there.

    Raises DatapathError if there are not enough.
    """
    has_owner = in_use.view(np.uint64).reshape(-1, 2).any(axis=1)
    held = {in_use[entry].tobytes(): int(entry) for entry in np.flatnonzero(has_owner)}
    free = iter(np.flatnonzero(~has_owner).tolist())
    entries: dict[TrafficOwner, int] = {}
    fresh = []
    for owner in owners:
        if owner in entries:
            continue
        entry = held.get(mark_of(owner))
        if entry is None:
            entry = next(free, None)
            if entry is None:
                raise DatapathError("no entry is left to count traffic in: load the program anew")
            fresh.append(entry)
        entries[owner] = entry
    return Assignment(entries, tuple(fresh))


@lru_cache(maxsize=1 << 16)
def mark_of(owner: TrafficOwner) -> bytes:
    """16 bytes that tell owners apart, and are not zero."""
    return blake2b("\0".join(owner).encode(), digest_size=MARK.itemsize).digest()
