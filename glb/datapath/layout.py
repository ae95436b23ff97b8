# SPDX-License-Identifier: MIT
"""What the director's maps are to hold for a set of forwarding tables. Pure: nothing here touches the kernel."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from ipaddress import IPv4Address
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from glb.config.model import Address, Bind, DirectorConfig, Echo, Network
from glb.hashing.rendezvous import ROWS
from glb.table.model import NO_HOP, BuiltTable, Rows, rows_digest

HOPS_PER_SLOT = 4
_ICMP = {4: 1, 6: 58}

Slots = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class TablePlace:
    """Where a table's rows and backends lie within a generation. rows: the SHA-256 of its rows, as hex digits."""

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
        """Write the rows into as many slots, (n, 4) and contiguous; what no row needs becomes 0."""
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
    """What packets are counted for: a bind of the configuration, or the echoes or fragments to its address.

    table: the table's number; None for fragments that do not tell their table.
    """

    table: int | None
    table_name: str
    label: str


@dataclass(frozen=True, slots=True)
class ExactBind:
    """One address, protocol number and port. Port 0: an ICMP echo, or with `fragment` the pieces of datagrams."""

    address: Address
    protocol: int
    port: int
    owner: int
    fragment: bool = False


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from start to end, both included, and whose they are."""

    start: int
    end: int
    owner: int


@dataclass(frozen=True, slots=True)
class WideBind:
    """What a prefix holds: disjoint ranges in ascending order, those of shorter prefixes worked in."""

    network: Network
    protocol: int
    fragment: bool
    ranges: tuple[PortRange, ...]


@dataclass(frozen=True, slots=True)
class BackendPlace:
    """A backend of a table, where the tunnel goes to."""

    table_name: str
    address: IPv4Address


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """One generation of the director's maps.

    blocks: the rows, each array once, in the order of their slots. backends: all tables' in a row. owners: what the
    numbers in exact and wide stand for.
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
        """How many entries of `traffic` it takes."""
        return len(self.owners) + len(self.backends)


@dataclass(frozen=True, slots=True)
class Capacity:
    """Entries that a loaded program's maps have room for, in each generation."""

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
    """Room for the layout, with some to grow: a reload that fits does not need new maps."""
    return Capacity(
        slots=_with_room(layout.num_slots, LEAST_CAPACITY.slots),
        backends=_with_room(len(layout.backends), LEAST_CAPACITY.backends),
        # A hash table: sparse, so that most are found at once.
        binds=_with_room(4 * len(layout.exact), LEAST_CAPACITY.binds),
        wide_binds=_with_room(len(layout.wide), LEAST_CAPACITY.wide_binds),
        ranges=_with_room(layout.num_ranges, LEAST_CAPACITY.ranges),
        traffic=_with_room(2 * layout.num_counted, LEAST_CAPACITY.traffic),  # while two generations are there
    )


def _with_room(used: int, least: int) -> int:
    """The next power of two, and not less than `least`."""
    return max(least, 1 << max(used - 1, 0).bit_length())


def plan(tables: Sequence[BuiltTable], config: DirectorConfig) -> Layout:
    """Lay out the tables for a director with this configuration."""
    places, blocks = _place(tables)
    binds = [(bind, number) for number, table in enumerate(tables) for bind in table.binds]
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
    """The layout of the same tables where only their rows are new, as `plan` gives it, at a fraction of its cost."""
    places, blocks = _place(tables)
    return replace(layout, tables=places, blocks=blocks)


def _hashes_addresses_alone(config: DirectorConfig) -> bool:
    """Then all pieces of a datagram have the same hash."""
    choices = (config.hash_fields, config.alt_hash_fields)
    return not any(fields.src_port or fields.dst_port for fields in choices if fields is not None)


def _backends(tables: Sequence[BuiltTable]) -> Iterator[BackendPlace]:
    for table in tables:
        for backend in table.backends:
            if not isinstance(backend.address, IPv4Address):  # which is ruled out when a file is loaded
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
    """How many hops the longest row has. A shorter one, which only a binary can hold, repeats its last in the map: a
    proxy that finds itself as the next hop takes the packet."""
    return rows.shape[1] if rows.dtype == np.uint8 else int((rows != NO_HOP).any(axis=0).sum())


@dataclass(frozen=True, slots=True)
class _Claim:
    """Ports of a network that an owner claims, exact or not; others may claim some of them too."""

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
    """One for each network; of tables that share a network the first has it."""
    first: dict[Network, int] = {}
    for bind, table in binds:
        first.setdefault(bind.network, table)
    return [
        _Claim(Owner(table, tables[table].name, f"{_show(network)} echo"), network, _ICMP[network.version], False, 0, 0)
        for network, table in first.items()
    ]


def _fragment_claims(binds: Iterable[tuple[Bind, int]], tables: Sequence[BuiltTable]) -> list[_Claim]:
    """One for each network and protocol: the only table that has binds there or around it, or nobody."""
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
    """The network itself and all around it, the longest prefix first."""
    for length in range(network.prefixlen, -1, -1):
        yield network.supernet(new_prefix=length)


def _exact(claims: Sequence[_Claim]) -> Iterator[ExactBind]:
    for owner, claim in enumerate(claims):
        if claim.is_exact:
            yield ExactBind(claim.network.network_address, claim.protocol, claim.start, owner, claim.fragment)


def _flatten(claims: Sequence[_Claim]) -> Iterator[WideBind]:
    """Settle who wins where claims overlap: the longest prefix, then the narrower range, then who stands first.

    The trie finds the longest prefix alone, so each prefix gets what the shorter ones around it contribute as well.
    """
    by_network: dict[tuple[Network, int, bool], list[PortRange]] = {}
    for owner, claim in enumerate(claims):
        if not claim.is_exact:
            key = (claim.network, claim.protocol, claim.fragment)
            by_network.setdefault(key, []).append(PortRange(claim.start, claim.end, owner))
    for network, protocol, fragment in by_network:
        ranked: list[PortRange] = []
        for wider in _supernets(network):
            ports = by_network.get((wider, protocol, fragment), ())
            ranked += sorted(ports, key=lambda r: r.end - r.start)
        yield WideBind(network, protocol, fragment, disjoint(ranked))


def disjoint(ranked: Sequence[PortRange]) -> tuple[PortRange, ...]:
    """Cut overlapping ranges, the strongest first, into disjoint ones in ascending order."""
    rank_by_start: dict[int, list[int]] = {}
    for rank, ports in enumerate(ranked):
        rank_by_start.setdefault(ports.start, []).append(rank)
    edges = sorted({edge for r in ranked for edge in (r.start, r.end + 1)})
    begun: list[int] = []  # a heap of ranks, the strongest at its top; those that have ended go once they are there
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
