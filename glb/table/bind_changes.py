# SPDX-License-Identifier: MIT
"""Whose flows become whose, when binds come, go or change hands: a flow belongs to the table whose bind it matches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from glb.config.model import Bind, Proto
from glb.table.model import BuiltTable


@dataclass(frozen=True, slots=True)
class BindChange:
    """Flows that matched `bind` of the old table number `before`, and go to the new table number `after` from then on.

    before None: no table had them, and `bind` is the new one that matches. after None: no table gets them.
    """

    bind: Bind
    before: int | None
    after: int | None


class _Region(NamedTuple):
    """The destinations of a bind as whole numbers, both ends included."""

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
        """Whether it is of one address."""
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
    """All binds of some tables, in their order; those of single addresses by address, since there may be thousands."""

    def __init__(self, tables: Sequence[BuiltTable]) -> None:
        self.all = [
            _Owned(_Region.of(bind), bind, number) for number, table in enumerate(tables) for bind in table.binds
        ]
        self._wide = [owned for owned in self.all if not owned.region.is_single]
        self._single: dict[int, list[_Owned]] = {}
        for owned in self.all:
            if owned.region.is_single:
                self._single.setdefault(owned.region.first, []).append(owned)

    def overlapping(self, region: _Region) -> list[_Owned]:
        near = [*self._single.get(region.first, ()), *self._wide] if region.is_single else self.all
        return [owned for owned in near if owned.region.overlaps(region)]


def bind_changes(old: Sequence[BuiltTable], new: Sequence[BuiltTable]) -> tuple[BindChange, ...]:
    """Every way that flows go, by the rules of `lookup`; where all stays, from each table to itself.

    Only between binds of which none has precedence over the other, the order in the files is not looked at.
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
    """The new tables' binds of which no part was in any of the old tables, each as its table's name and its text."""
    before = _Binds(old)
    return tuple(
        (new[owned.table].name, str(owned.bind)) for owned in _Binds(new).all if not before.overlapping(owned.region)
    )


def _within(region: _Region, before: _Binds, after: _Binds) -> Iterator[BindChange]:
    """Where the flows of a bind that comes or goes were, and where they go."""
    old, new = before.overlapping(region), after.overlapping(region)
    for address, port in _points(region, [owned.region for owned in (*old, *new)]):
        was, becomes = _winner(old, address, port), _winner(new, address, port)
        if was is not None:
            yield BindChange(was.bind, was.table, becomes.table if becomes else None)
        elif becomes is not None:
            yield BindChange(becomes.bind, None, becomes.table)


def _points(region: _Region, others: Sequence[_Region]) -> Iterator[tuple[int, int]]:
    """A destination from each part of the region in which the same binds match: borders are where a bind begins, or
    has just ended."""
    addresses = {edge for other in others for edge in (other.first, other.last + 1)}
    ports = {edge for other in others for edge in (other.port_start, other.port_end + 1)}
    for address in sorted({region.first} | {a for a in addresses if region.first <= a <= region.last}):
        for port in sorted({region.port_start} | {p for p in ports if region.port_start <= p <= region.port_end}):
            yield address, port


def _winner(candidates: Sequence[_Owned], address: int, port: int) -> _Owned | None:
    matches = [owned for owned in candidates if owned.region.holds(address, port)]
    return min(matches, key=lambda owned: owned.bind.precedence, default=None)
