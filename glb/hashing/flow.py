# SPDX-License-Identifier: MIT
"""From a flow to its hash, its row, and the tunnel's source port."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from glb.hashing.siphash import siphash24

ROW_MASK = 0xFFFF
TUNNEL_PORT_BASE = 0x8000
TUNNEL_PORT_MASK = 0x7FFF


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection as the client's packets show it: `dst` is the address of the service."""

    src: IPv4Address | IPv6Address
    dst: IPv4Address | IPv6Address
    src_port: int
    dst_port: int


class Fields(Protocol):
    """The choice of fields that are hashed."""

    @property
    def src_addr(self) -> bool: ...
    @property
    def dst_addr(self) -> bool: ...
    @property
    def src_port(self) -> bool: ...
    @property
    def dst_port(self) -> bool: ...


def flow_hash(key: bytes, fields: Fields, flow: Flow) -> int:
    """The 64-bit hash of the chosen fields, in the order of Flow and in network byte order."""
    parts = (
        (fields.src_addr, flow.src.packed),
        (fields.dst_addr, flow.dst.packed),
        (fields.src_port, flow.src_port.to_bytes(2, "big")),
        (fields.dst_port, flow.dst_port.to_bytes(2, "big")),
    )
    return int.from_bytes(siphash24(key, b"".join(data for chosen, data in parts if chosen)), "little")


def row_of(pkt_hash: int) -> int:
    """The row, 0 to 65,535, of a flow's hash."""
    return pkt_hash & ROW_MASK


def tunnel_source_port(pkt_hash: int, flow_port: int) -> int:
    """The tunnel's UDP source port, 32,768 to 65,535, the same for all packets of a flow.

    `flow_port` is the client's port; for an ICMPv4 echo the IP identification.
    """
    return TUNNEL_PORT_BASE | ((pkt_hash ^ flow_port) & TUNNEL_PORT_MASK)
