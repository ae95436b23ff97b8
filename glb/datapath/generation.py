# SPDX-License-Identifier: MIT
"""The record of each generation beside the director's maps, by which a later daemon knows their content.

It has a digest of the content, and the owner of each entry of the map `traffic`: an owner keeps its entry over reloads
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
    """The director's interface and the network behind it.

    mac: the interface's own, 6 bytes. mtu: of the interface, or as configured, in bytes of IP packet. next_hops: the
    MAC of each backend's next hop, if it is resolved. refusals: otherwise, why not. vlans: the VLAN devices by which
    packets may leave, by their index; not part of a generation's content. mtus: of the paths to backends, if less.
    """

    mac: bytes
    mtu: int
    next_hops: Mapping[IPv4Address, bytes]
    refusals: Mapping[IPv4Address, PathRefusal] = field(default_factory=dict)
    vlans: Mapping[int, Vlan] = field(default_factory=dict)
    mtus: Mapping[IPv4Address, int] = field(default_factory=dict)

    def path_mtu(self, backend: IPv4Address) -> int:
        """The largest IP packet that reaches a backend, in bytes."""
        return min(self.mtu, self.mtus.get(backend, self.mtu), _LONGEST_PACKET)


def content_digest(layout: Layout, config: DirectorConfig, network: NetworkView) -> bytes:
    """SHA-256 over a generation's content and the code that writes it: other code may write the same layout
    differently.

    Not over repr() of the layout, which takes ten times as long: this runs at each change.
    """
    digest = hashlib.sha256()
    for part in _parts(layout, config, network):
        digest.update(struct.pack("=I", len(part)))
        digest.update(part)
    return digest.digest()


@cache
def _code() -> str:
    """A digest of the files in this folder."""
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
"""One MARK for each entry; zero if the entry has no owner."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The entries of one generation's owners, and those with counts of an earlier owner, which must be cleared."""

    entries: Mapping[TrafficOwner, int]
    fresh: tuple[int, ...]

    def mark(self, marks: Marks) -> None:
        """Overwrite a generation's marks."""
        marks[:] = np.zeros((), MARK)
        for owner, entry in self.entries.items():
            marks[entry] = mark_of(owner)


def assign(owners: Iterable[TrafficOwner], in_use: Marks) -> Assignment:
    """Assign an entry to each owner: its entry in the active generation, or a free one.

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
                raise DatapathError("no free entry to count traffic in: load the program again")
            fresh.append(entry)
        entries[owner] = entry
    return Assignment(entries, tuple(fresh))


@lru_cache(maxsize=1 << 16)
def mark_of(owner: TrafficOwner) -> bytes:
    """16 bytes that identify an owner; never all zero."""
    return blake2b("\0".join(owner).encode(), digest_size=MARK.itemsize).digest()
