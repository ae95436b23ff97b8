# SPDX-License-Identifier: MIT
"""The hops of a flow, computed as a director computes them: for `glbctl table lookup` and for tests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from glb.config.model import Address, Bind, Proto
from glb.hashing.flow import Fields, Flow, flow_hash, row_of, tunnel_source_port
from glb.table.model import BuiltTable

ICMP: Final = "icmp"


@dataclass(frozen=True, slots=True)
class Lookup:
    """The table and the hops of a flow: `hops` are the addresses in the order in which proxies receive the packet.

    With alternative hash fields, the hops of the second row follow those of the first; an address may occur twice.
    """

    table: str
    bind: Bind
    pkt_hash: int
    row: int
    hops: tuple[Address, ...]
    tunnel_source_port: int


def lookup(
    tables: Sequence[BuiltTable],
    flow: Flow,
    proto: Proto | Literal["icmp"],
    hash_fields: Fields,
    alt_hash_fields: Fields | None = None,
) -> Lookup | None:
    """Look a flow up; None if it matches no bind, so a director passes it to its host.

    Of the binds that match, an exact one is chosen, else the longest prefix, else the narrower range of
    ports, else the last in the file. "icmp" is an echo request: it belongs to the table with the longest prefix that
    contains its destination, of equals the last in the file, and is hashed with ports 0; `src_port` is then the IPv4
    identification, on which the tunnel's source port depends.
    """
    found = _find_echo(tables, flow) if proto == ICMP else _find(tables, flow, Proto(proto))
    if found is None:
        return None
    table, bind = found
    hashed = replace(flow, src_port=0, dst_port=0) if proto == ICMP else flow
    pkt_hash = flow_hash(table.hash_key, hash_fields, hashed)
    hops = table.hops(row_of(pkt_hash))
    if alt_hash_fields is not None:
        hops += table.hops(row_of(flow_hash(table.hash_key, alt_hash_fields, hashed)))
    source_port = tunnel_source_port(pkt_hash, flow.src_port)
    return Lookup(table.name, bind, pkt_hash, row_of(pkt_hash), hops, source_port)


def _matches(tables: Sequence[BuiltTable], flow: Flow) -> Iterator[tuple[BuiltTable, Bind]]:
    """The binds of the flow's address, the last in the file first."""
    for table in reversed(tables):
        for bind in reversed(table.binds):
            # An address is never in a network of the other family.
            if flow.dst in bind.network:
                yield table, bind


def _find_echo(tables: Sequence[BuiltTable], flow: Flow) -> tuple[BuiltTable, Bind] | None:
    return min(_matches(tables, flow), key=lambda match: -match[1].network.prefixlen, default=None)


def _find(tables: Sequence[BuiltTable], flow: Flow, proto: Proto) -> tuple[BuiltTable, Bind] | None:
    matches = [
        (table, bind)
        for table, bind in _matches(tables, flow)
        if bind.proto is proto and bind.port_start <= flow.dst_port <= bind.port_end
    ]
    # min keeps the first of equals; an exact bind has the longest prefix and the narrowest range.
    return min(matches, key=lambda match: match[1].precedence, default=None)
