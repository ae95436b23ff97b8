"""What the director's maps are to hold for a set of forwarding tables. Pure: nothing here touches the kernel."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import pairwise
from typing import Any

import numpy as np

from glb.config.model import Bind
from glb.table.build import NO_HOP, BuiltTable

HOPS_PER_SLOT = 4

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_ICMP = {4: 1, 6: 58}


@dataclass(frozen=True, slots=True)
class TablePlace:
    """Where a table's rows and backends lie within a generation."""

    name: str
    hash_key: bytes
    first_slot: int
    slots_per_row: int
    first_backend: int


@dataclass(frozen=True, slots=True)
class ExactBind:
    """One address, protocol number and port; port 0 with ICMP: an echo."""

    address: Address
    protocol: int
    port: int
    table: int


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from start to end, both included, that belong to a table."""

    start: int
    end: int
    table: int


@dataclass(frozen=True, slots=True)
class WideBind:
    """What a prefix holds: disjoint ranges in ascending order, those of shorter prefixes worked in."""

    network: Network
    protocol: int
    ranges: tuple[PortRange, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """One generation of the director's maps.

    slots: (n, 4) uint16, backends of the row's table, filled up with NO_HOP; backends: addresses, all tables' in a row.
    """

    tables: tuple[TablePlace, ...]
    slots: "np.ndarray[Any, np.dtype[np.uint16]]"
    backends: tuple[IPv4Address, ...]
    exact: tuple[ExactBind, ...]
    wide: tuple[WideBind, ...]

    @property
    def num_ranges(self) -> int:
        return sum(len(bind.ranges) for bind in self.wide)


@dataclass(frozen=True, slots=True)
class Capacity:
    """Entries that a loaded program's maps have room for, in each generation."""

    slots: int
    backends: int
    binds: int
    wide_binds: int
    ranges: int

    def holds(self, layout: Layout) -> bool:
        return (
            len(layout.slots) <= self.slots
            and len(layout.backends) <= self.backends
            and len(layout.exact) <= self.binds
            and len(layout.wide) <= self.wide_binds
            and layout.num_ranges <= self.ranges
        )


def capacity_for(layout: Layout) -> Capacity:
    """Room for the layout, with some to grow: a reload that fits does not need new maps."""
    return Capacity(
        slots=_with_room(len(layout.slots), 4 * 65536),
        backends=_with_room(len(layout.backends), 1024),
        binds=_with_room(len(layout.exact), 1024),
        wide_binds=_with_room(len(layout.wide), 256),
        ranges=_with_room(layout.num_ranges, 1024),
    )


def _with_room(used: int, least: int) -> int:
    """The next power of two, and not less than `least`."""
    return max(least, 1 << max(used - 1, 0).bit_length())


def plan(tables: Sequence[BuiltTable], forward_echo: bool) -> Layout:
    """Lay out the tables. With forward_echo, an ICMP echo to a bound address belongs to the table of that address."""
    places, slots = _place(tables)
    binds = [(bind, number) for number, table in enumerate(tables) for bind in table.binds]
    exact = [
        ExactBind(bind.network.network_address, bind.proto.number, bind.port_start, number)
        for bind, number in binds
        if bind.is_exact
    ]
    claims = [_claim(bind, number) for bind, number in binds if not bind.is_exact]
    if forward_echo:
        echo_exact, echo_claims = _echo_binds(binds)
        exact += echo_exact
        claims += echo_claims
    return Layout(
        tables=places,
        slots=slots,
        backends=tuple(_ipv4(backend.address) for table in tables for backend in table.backends),
        exact=tuple(exact),
        wide=tuple(_flatten(claims)),
    )


def _ipv4(address: Address) -> IPv4Address:
    if isinstance(address, IPv4Address):
        return address
    raise TypeError(f"backend {address}: the tunnel's outer header is IPv4")  # ruled out when the file is loaded


def _place(tables: Sequence[BuiltTable]) -> tuple[tuple[TablePlace, ...], Any]:
    places, parts = [], []
    first_slot = first_backend = 0
    for table in tables:
        slots_per_row = -(-table.rows.shape[1] // HOPS_PER_SLOT)
        slots = _slots(table.rows, slots_per_row)
        places.append(TablePlace(table.name, table.hash_key, first_slot, slots_per_row, first_backend))
        parts.append(slots)
        first_slot += len(slots)
        first_backend += len(table.backends)
    return tuple(places), np.concatenate(parts)


def _slots(rows: Any, slots_per_row: int) -> Any:
    padded = np.full((len(rows), slots_per_row * HOPS_PER_SLOT), NO_HOP, dtype=np.uint16)
    padded[:, : rows.shape[1]] = rows
    return padded.reshape(-1, HOPS_PER_SLOT)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A bind of more than one address or port, as it stands in the configuration."""

    network: Network
    protocol: int
    ports: PortRange


def _claim(bind: Bind, table: int) -> _Claim:
    return _Claim(bind.network, bind.proto.number, PortRange(bind.port_start, bind.port_end, table))


def _echo_binds(binds: Iterable[tuple[Bind, int]]) -> tuple[list[ExactBind], list[_Claim]]:
    """One bind for echoes to each network; of tables that share a network the first has it."""
    owners: dict[Network, int] = {}
    for bind, table in binds:
        owners.setdefault(bind.network, table)
    exact, claims = [], []
    for network, table in owners.items():
        protocol = _ICMP[network.version]
        if network.prefixlen == network.max_prefixlen:
            exact.append(ExactBind(network.network_address, protocol, 0, table))
        else:
            claims.append(_Claim(network, protocol, PortRange(0, 0, table)))
    return exact, claims


def _flatten(claims: Sequence[_Claim]) -> Iterator[WideBind]:
    """Settle who wins where claims overlap: the longest prefix, then the narrower range, then who stands first.

    The trie finds the longest prefix alone, so each prefix gets what the shorter ones around it contribute as well.
    """
    by_network: dict[tuple[Network, int], list[PortRange]] = defaultdict(list)
    for claim in claims:
        by_network[claim.network, claim.protocol].append(claim.ports)
    for network, protocol in by_network:
        ranked: list[PortRange] = []
        for length in range(network.prefixlen, -1, -1):
            ports = by_network.get((network.supernet(new_prefix=length), protocol), ())
            ranked += sorted(ports, key=lambda r: r.end - r.start)
        yield WideBind(network, protocol, disjoint(ranked))


def disjoint(ranked: Sequence[PortRange]) -> tuple[PortRange, ...]:
    """Cut overlapping ranges, the strongest first, into disjoint ones in ascending order."""
    edges = sorted({edge for r in ranked for edge in (r.start, r.end + 1)})
    pieces: list[PortRange] = []
    for start, stop in pairwise(edges):
        owner = next((r for r in ranked if r.start <= start <= r.end), None)
        if owner is None:
            continue
        if pieces and pieces[-1].end == start - 1 and pieces[-1].table == owner.table:
            start = pieces.pop().start
        pieces.append(PortRange(start, stop - 1, owner.table))
    return tuple(pieces)
