# SPDX-License-Identifier: MIT
"""Which flows change tables when binds are added, removed or moved: a flow belongs to the table of its bind."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from glb.config.bind_order import binds_in_force
from glb.config.model import Bind, Proto
from glb.table.model import BuiltTable


@dataclass(frozen=True, slots=True)
class BindChange:
    """Flows of `bind` that belong to table number `before` of the old tables and number `after` of the new ones.

    before None: they matched no old bind, and `bind` is the new one. after None: they match no new bind.
    """

    bind: Bind
    before: int | None
    after: int | None


class _Region(NamedTuple):
    """The destinations of a bind as integers, both ends included."""

    family: int
    proto: Proto
    first: int
    last: int
    port_start: int
    port_end: int

    @classmethod
    def of(cls, bind: Bind) -> "_Region":
        first, last = int(bind.network.network_address), int(bind.network.broadcast_address)
        return cls(bind.family, bind.proto, first, last, bind.port_start, bind.port_end)

    @property
    def is_single(self) -> bool:
        """Whether it contains one address."""
        return self.first == self.last

    def overlaps(self, other: "_Region") -> bool:
        return (
            self.first <= other.last
            and other.first <= self.last
            and self.port_start <= other.port_end
            and other.port_start <= self.port_end
            and self[:2] == other[:2]
        )

    def holds(self, address: int, port: int) -> bool:
        return self.first <= address <= self.last and self.port_start <= port <= self.port_end


class _Owned(NamedTuple):
    region: _Region
    bind: Bind
    table: int


class _Binds:
    """The binds of some tables that apply, in their order; those of single addresses by address: there may be many."""

    def __init__(self, tables: Sequence[BuiltTable]) -> None:
        self.all = [_Owned(_Region.of(bind), bind, number) for bind, number in binds_in_force(tables)]
        self._wide = [owned for owned in self.all if not owned.region.is_single]
        self._single: dict[int, list[_Owned]] = {}
        for owned in self.all:
            if owned.region.is_single:
                self._single.setdefault(owned.region.first, []).append(owned)

    def overlapping(self, region: _Region) -> list[_Owned]:
        near = [*self._single.get(region.first, ()), *self._wide] if region.is_single else self.all
        return [owned for owned in near if owned.region.overlaps(region)]


def bind_changes(old: Sequence[BuiltTable], new: Sequence[BuiltTable]) -> tuple[BindChange, ...]:
    """The table before and after of all flows, by the precedence of `lookup`, unchanged ones included.

    The order in the files is ignored between binds of equal precedence.
    """
    before, after = _Binds(old), _Binds(new)
    owners = {owned.bind: owned.table for owned in after.all}
    known = {owned.bind for owned in before.all}
    found = [BindChange(o.bind, o.table, owners[o.bind]) for o in before.all if o.bind in owners]
    for owned in (*before.all, *after.all):
        if owned.bind not in known or owned.bind not in owners:
            found += _within(owned.region, before, after)
    return tuple(dict.fromkeys(found))


def new_binds(old: Sequence[BuiltTable], new: Sequence[BuiltTable]) -> tuple[tuple[str, str], ...]:
    """The binds of the new tables that overlap no bind of the old ones: table name and bind as text."""
    before = _Binds(old)
    return tuple(
        (new[owned.table].name, str(owned.bind)) for owned in _Binds(new).all if not before.overlapping(owned.region)
    )


def _within(region: _Region, before: _Binds, after: _Binds) -> Iterator[BindChange]:
    """The changes within an added or removed bind."""
    old, new = before.overlapping(region), after.overlapping(region)
    for address, port in _points(region, [owned.region for owned in (*old, *new)]):
        was, becomes = _winner(old, address, port), _winner(new, address, port)
        if was is not None:
            yield BindChange(was.bind, was.table, becomes.table if becomes else None)
        elif becomes is not None:
            yield BindChange(becomes.bind, None, becomes.table)


def _points(region: _Region, others: Sequence[_Region]) -> Iterator[tuple[int, int]]:
    """One destination from each part of the region in which the same binds match.

    Parts begin where a bind begins, or after one ends.
    """
    addresses = {edge for other in others for edge in (other.first, other.last + 1)}
    ports = {edge for other in others for edge in (other.port_start, other.port_end + 1)}
    for address in sorted({region.first} | {a for a in addresses if region.first <= a <= region.last}):
        for port in sorted({region.port_start} | {p for p in ports if region.port_start <= p <= region.port_end}):
            yield address, port


def _winner(candidates: Sequence[_Owned], address: int, port: int) -> _Owned | None:
    matches = [owned for owned in candidates if owned.region.holds(address, port)]
    return min(reversed(matches), key=lambda owned: owned.bind.precedence, default=None)
