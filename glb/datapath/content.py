# SPDX-License-Identifier: MIT
"""A digest of what one generation of the director's maps is written from: by it, a later daemon knows what is there.

By hand and not by repr() of the layout, which takes ten times as long: the daemon does it at each change.
"""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path

from glb.config.model import DirectorConfig
from glb.datapath.layout import Layout
from glb.datapath.mac import UNKNOWN_MAC
from glb.network.refusal import Refusal
from glb.network.vlans import Vlan

_LONGEST_PACKET = 0xFFFF


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the director must know of its interface and of the network behind it.

    mac: the interface's own, 6 bytes. mtu: of the interface, or as configured, in bytes of IP packet. next_hops: the
    MAC on the way to each backend; one that is left out is not known. refusals: why not. vlans: the VLAN devices by
    which packets may leave, by their index; they are no part of a generation's content. mtus: of the paths to backends
    where it is less.
    """

    mac: bytes
    mtu: int
    next_hops: Mapping[IPv4Address, bytes]
    refusals: Mapping[IPv4Address, Refusal] = field(default_factory=dict)
    vlans: Mapping[int, Vlan] = field(default_factory=dict)
    mtus: Mapping[IPv4Address, int] = field(default_factory=dict)

    def path_mtu(self, backend: IPv4Address) -> int:
        """Bytes of IP packet that reach a backend."""
        return min(self.mtu, self.mtus.get(backend, self.mtu), _LONGEST_PACKET)


def content_digest(layout: Layout, config: DirectorConfig, surroundings: Surroundings) -> bytes:
    """SHA-256. Other code may write the same layout in another way, so it makes another digest."""
    digest = hashlib.sha256()
    for part in _parts(layout, config, surroundings):
        digest.update(struct.pack("=I", len(part)))
        digest.update(part)
    return digest.digest()


@cache
def _code() -> str:
    """A digest of this folder."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _parts(layout: Layout, config: DirectorConfig, surroundings: Surroundings) -> Iterator[bytes]:
    yield repr((_code(), config, surroundings.mac, surroundings.mtu, layout.tables)).encode()
    for backend in layout.backends:
        next_hop = surroundings.next_hops.get(backend.address, UNKNOWN_MAC)
        mtu = struct.pack("=I", surroundings.path_mtu(backend.address))
        yield backend.address.packed + next_hop + mtu + backend.table_name.encode()
    for owner in layout.owners:
        yield f"{owner.table} {owner.label}".encode()
    for bind in layout.exact:
        yield bind.address.packed + struct.pack("=HHI?", bind.protocol, bind.port, bind.owner, bind.fragment)
    for wide in layout.wide:
        yield repr(wide).encode()
