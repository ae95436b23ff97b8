# SPDX-License-Identifier: MIT
"""The content of the director's maps for a set of forwarding tables. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from ipaddress import IPv4Address
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from glb.config.bind_order import binds_in_force
from glb.config.model import Address, Bind, DirectorConfig, Echo, Network
from glb.hashing.rendezvous import ROWS
from glb.table.model import NO_HOP, BuiltTable, Rows, rows_digest

HOPS_PER_SLOT = 4
_ICMP = {4: 1, 6: 58}

Slots = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class TablePlace:
    """The position of a table's rows and backends in a generation. rows: the SHA-256 of its rows, as hex digits."""

    name: str
    hash_key: bytes
    first_slot: int
    hops: int
    first_backend: int
    rows: str


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """A table's rows, and where they lie. hops: of the longest row. digest: of the rows, as hex digits."""

    first_slot: int
    hops: int
    rows: Rows
    digest: str

    @property
    def slots_per_row(self) -> int:
        return -(-self.hops // HOPS_PER_SLOT)

    @property
    def num_slots(self) -> int:
        return ROWS * self.slots_per_row

    def fill(self, slots: Slots) -> None:
        """Write the rows into slots, (num_slots, 4) and contiguous; unused entries become 0."""
        target = slots.reshape(ROWS, -1)
        target[:, : self.hops] = self.rows[:, : self.hops]
        target[:, self.hops :] = 0
        if self.rows.dtype == np.uint16:
            _fill_gaps(target[:, : self.hops])


def _fill_gaps(rows: Slots) -> None:
    for column in range(1, rows.shape[1]):
        missing = rows[:, column] == NO_HOP
        rows[missing, column] = rows[missing, column - 1]


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner of traffic counters: a bind, or the echoes or fragments to its network.

    table: the table's number; None for fragments whose table is unknown.
    """

    table: int | None
    table_name: str
    label: str


@dataclass(frozen=True, slots=True)
class ExactBind:
    """One address, protocol number and port. Port 0: an ICMP echo, or with `fragment` the fragments of datagrams."""

    address: Address
    protocol: int
    port: int
    owner: int
    fragment: bool = False


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from start to end, both included, and the number of their owner."""

    start: int
    end: int
    owner: int


@dataclass(frozen=True, slots=True)
class WideBind:
    """The port ranges of a prefix: disjoint, in ascending order, those of shorter prefixes included."""

    network: Network
    protocol: int
    fragment: bool
    ranges: tuple[PortRange, ...]


@dataclass(frozen=True, slots=True)
class BackendPlace:
    """A backend of a table: a destination of the tunnel."""

    table_name: str
    address: IPv4Address


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """One generation of the director's maps.

    blocks: the rows, each array once, in the order of their slots. backends: those of all tables, one after another.
    owners: by the numbers in exact and wide.
    """

    tables: tuple[TablePlace, ...]
    blocks: tuple[RowBlock, ...]
    backends: tuple[BackendPlace, ...]
    owners: tuple[Owner, ...]
    exact: tuple[ExactBind, ...]
    wide: tuple[WideBind, ...]

    @property
    def num_slots(self) -> int:
        return sum(block.num_slots for block in self.blocks)

    @property
    def num_ranges(self) -> int:
        return sum(len(bind.ranges) for bind in self.wide)

    @property
    def num_counted(self) -> int:
        """The number of entries of `traffic` that are needed."""
        return len(self.owners) + len(self.backends)


@dataclass(frozen=True, slots=True)
class Capacity:
    """The capacity of a loaded program's maps, in entries of each generation."""

    slots: int
    backends: int
    binds: int
    wide_binds: int
    ranges: int
    traffic: int

    def holds(self, layout: Layout) -> bool:
        return (
            layout.num_slots <= self.slots
            and len(layout.backends) <= self.backends
            and 4 * len(layout.exact) <= self.binds
            and len(layout.wide) <= self.wide_binds
            and layout.num_ranges <= self.ranges
            and 2 * layout.num_counted <= self.traffic
        )


LEAST_CAPACITY = Capacity(slots=4 * ROWS, backends=1024, binds=4096, wide_binds=256, ranges=1024, traffic=2048)
"""That of a director with few tables: packages have its program compiled."""


def capacity_for(layout: Layout) -> Capacity:
    """Room for the layout and for growth: a reload that fits does not need new maps."""
    return Capacity(
        slots=_with_room(layout.num_slots, LEAST_CAPACITY.slots),
        backends=_with_room(len(layout.backends), LEAST_CAPACITY.backends),
        # A hash table: sparse, so that most are found at once.
        binds=_with_room(4 * len(layout.exact), LEAST_CAPACITY.binds),
        wide_binds=_with_room(len(layout.wide), LEAST_CAPACITY.wide_binds),
        ranges=_with_room(layout.num_ranges, LEAST_CAPACITY.ranges),
        traffic=_with_room(2 * layout.num_counted, LEAST_CAPACITY.traffic),  # of two generations
    )


def _with_room(used: int, least: int) -> int:
    """The next power of two, and not less than `least`."""
    return max(least, 1 << max(used - 1, 0).bit_length())


def plan(tables: Sequence[BuiltTable], config: DirectorConfig) -> Layout:
    """Lay out the tables for a director with this configuration."""
    places, blocks = _place(tables)
    binds = binds_in_force(tables)
    claims = [_claim(bind, number, tables) for bind, number in binds]
    if config.icmp_echo is not Echo.PASS:
        claims += _echo_claims(binds, tables)
    if _hashes_addresses_alone(config):
        claims += _fragment_claims(binds, tables)
    owners = tuple(claim.owner for claim in claims)
    return Layout(
        tables=places,
        blocks=blocks,
        backends=tuple(_backends(tables)),
        owners=owners,
        exact=tuple(_exact(claims)),
        wide=tuple(_flatten(claims)),
    )


def plan_again(layout: Layout, tables: Sequence[BuiltTable]) -> Layout:
    """The layout of the same tables with new rows: the result of `plan` at a fraction of its cost."""
    places, blocks = _place(tables)
    return replace(layout, tables=places, blocks=blocks)


def _hashes_addresses_alone(config: DirectorConfig) -> bool:
    """If so, all fragments of a datagram have the same hash."""
    choices = (config.hash_fields, config.alt_hash_fields)
    return not any(fields.src_port or fields.dst_port for fields in choices if fields is not None)


def _backends(tables: Sequence[BuiltTable]) -> Iterator[BackendPlace]:
    for table in tables:
        for backend in table.backends:
            if not isinstance(backend.address, IPv4Address):  # refused when the file was read
                raise TypeError(f"backend {backend.address}: the tunnel's outer header is IPv4")
            yield BackendPlace(table.name, backend.address)


def _place(tables: Sequence[BuiltTable]) -> tuple[tuple[TablePlace, ...], tuple[RowBlock, ...]]:
    """Tables with the same rows, such as many services on the same backends, share them."""
    places = []
    blocks: dict[str, RowBlock] = {}
    first_slot = first_backend = 0
    for table in tables:
        digest = rows_digest(table.rows)
        if digest not in blocks:
            blocks[digest] = RowBlock(first_slot, _hops(table.rows), table.rows, digest)
            first_slot += blocks[digest].num_slots
        block = blocks[digest]
        places.append(TablePlace(table.name, table.hash_key, block.first_slot, block.hops, first_backend, digest))
        first_backend += len(table.backends)
    return tuple(places), tuple(blocks.values())


def _hops(rows: Rows) -> int:
    """The number of hops in the longest row. Only a GLBD binary has shorter rows, which repeat their last hop in the
    map: a proxy that finds itself as the next hop takes the packet."""
    return rows.shape[1] if rows.dtype == np.uint8 else int((rows != NO_HOP).any(axis=0).sum())


@dataclass(frozen=True, slots=True)
class _Claim:
    """Ports of a network that an owner claims; other claims may overlap."""

    owner: Owner
    network: Network
    protocol: int
    fragment: bool
    start: int
    end: int

    @property
    def is_exact(self) -> bool:
        return self.network.prefixlen == self.network.max_prefixlen and self.start == self.end


def _claim(bind: Bind, table: int, tables: Sequence[BuiltTable]) -> _Claim:
    owner = Owner(table, tables[table].name, str(bind))
    return _Claim(owner, bind.network, bind.proto.number, False, bind.port_start, bind.port_end)


def _echo_claims(binds: Iterable[tuple[Bind, int]], tables: Sequence[BuiltTable]) -> list[_Claim]:
    """One for each network, for the last of the tables that share it."""
    last = {bind.network: table for bind, table in binds}
    return [
        _Claim(Owner(table, tables[table].name, f"{_show(network)} echo"), network, _ICMP[network.version], False, 0, 0)
        for network, table in last.items()
    ]


def _fragment_claims(binds: Iterable[tuple[Bind, int]], tables: Sequence[BuiltTable]) -> list[_Claim]:
    """One for each network and protocol: for the only table with binds in it or around it, or for none."""
    holders: dict[tuple[Network, int], set[int]] = {}
    names = {}
    for bind, table in binds:
        holders.setdefault((bind.network, bind.proto.number), set()).add(table)
        names[bind.proto.number] = bind.proto.value
    claims = []
    for network, protocol in holders:
        around = set().union(*(holders.get((wider, protocol), ()) for wider in _supernets(network)))
        only: int | None = around.pop() if len(around) == 1 else None
        name = "" if only is None else tables[only].name
        owner = Owner(only, name, f"{_show(network)} {names[protocol]} fragments")
        claims.append(_Claim(owner, network, protocol, True, 0, 0))
    return claims


def _show(network: Network) -> str:
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


def _supernets(network: Network) -> Iterator[Network]:
    """The network and all networks that contain it, the longest prefix first."""
    for length in range(network.prefixlen, -1, -1):
        yield network.supernet(new_prefix=length)


def _exact(claims: Sequence[_Claim]) -> Iterator[ExactBind]:
    for owner, claim in enumerate(claims):
        if claim.is_exact:
            yield ExactBind(claim.network.network_address, claim.protocol, claim.start, owner, claim.fragment)


def _flatten(claims: Sequence[_Claim]) -> Iterator[WideBind]:
    """Resolve overlapping claims: the longest prefix, then the narrower range, then the last in the file takes
    precedence.

    The trie finds only the longest prefix, so each prefix also gets the port ranges of the shorter ones around it.
    """
    by_network: dict[tuple[Network, int, bool], list[PortRange]] = {}
    for owner, claim in enumerate(claims):
        if not claim.is_exact:
            key = (claim.network, claim.protocol, claim.fragment)
            by_network.setdefault(key, []).append(PortRange(claim.start, claim.end, owner))
    for network, protocol, fragment in by_network:
        ranked: list[PortRange] = []
        for wider in _supernets(network):
            ports = by_network.get((wider, protocol, fragment), [])
            ranked += sorted(ports, key=lambda r: (r.end - r.start, -r.owner))
        yield WideBind(network, protocol, fragment, disjoint(ranked))


def disjoint(ranked: Sequence[PortRange]) -> tuple[PortRange, ...]:
    """Cut overlapping ranges, given in order of precedence, into disjoint ones in ascending order."""
    rank_by_start: dict[int, list[int]] = {}
    for rank, ports in enumerate(ranked):
        rank_by_start.setdefault(ports.start, []).append(rank)
    edges = sorted({edge for r in ranked for edge in (r.start, r.end + 1)})
    begun: list[int] = []  # a heap of ranks; ranges that have ended are removed once they are at its top
    pieces: list[PortRange] = []
    for start, stop in pairwise(edges):
        for rank in rank_by_start.get(start, ()):
            heappush(begun, rank)
        while begun and ranked[begun[0]].end < start:
            heappop(begun)
        if not begun:
            continue
        owner = ranked[begun[0]].owner
        if pieces and pieces[-1].end == start - 1 and pieces[-1].owner == owner:
            start = pieces.pop().start
        pieces.append(PortRange(start, stop - 1, owner))
    return tuple(pieces)
