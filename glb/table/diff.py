# SPDX-License-Identifier: MIT
"""The effect of a change of tables on flows, and one line about it for the log.

Tables are compared by address, so the order of the backends in a file does not matter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glb.config.model import Address, Bind
from glb.errors import TableError
from glb.hashing.rendezvous import ROWS
from glb.table.model import NO_HOP, BuiltTable

Hops = npt.NDArray[np.int32]

END_OF_ROW = -1
"""In a row of address numbers: there is no further hop."""


_STATES_SHOWN = 8
"""The number of state changes in the log line; further ones are counted."""


@dataclass(frozen=True, slots=True)
class BackendShare:
    """The rows in which a backend is the first hop, before and after, and those that it gains and loses."""

    address: Address
    before: int
    after: int
    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences between two versions of a table. Numbers are of rows, of which there are 65,536.

    moved: the first hop differs. later_changed: a further hop, or the order of these, differs. cut: the old first hop
    is not among the new hops, so its established connections would be lost. rehashed: the hash key differs, so flows
    change rows, and the numbers do not apply to single flows.
    """

    name: str
    moved: int
    later_changed: int
    cut: int
    rehashed: bool
    binds_added: tuple[Bind, ...]
    binds_removed: tuple[Bind, ...]
    backends: tuple[BackendShare, ...]

    @property
    def moved_share(self) -> float:
        """The share, 0 to 1, of flows whose first hop differs."""
        return self.moved / ROWS

    @property
    def may_cut(self) -> bool:
        """Whether established connections could be lost."""
        return self.rehashed or self.cut > 0 or bool(self.binds_removed)


@dataclass(frozen=True, slots=True)
class DiffAll:
    """The differences of all tables: names of added and removed ones, and the changes of the others."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    tables: tuple[Diff, ...]

    @property
    def may_cut(self) -> bool:
        """Whether established connections could be lost."""
        return bool(self.removed) or any(table.may_cut for table in self.tables)


@dataclass(frozen=True, slots=True)
class Matching:
    """Tables that are added, tables that are removed, and pairs of old and new versions."""

    added: tuple[BuiltTable, ...]
    removed: tuple[BuiltTable, ...]
    both: tuple[tuple[BuiltTable, BuiltTable], ...]


def diff(old: BuiltTable, new: BuiltTable) -> Diff:
    """Compare two versions of one table; the result has the new one's name."""
    addresses = list(dict.fromkeys(backend.address for table in (old, new) for backend in table.backends))
    before, after = numbered(old, addresses), numbered(new, addresses)
    before, after = _same_depth(before, after)
    return Diff(
        name=new.name,
        moved=_count(before[:, 0] != after[:, 0]),
        later_changed=_count((before[:, 1:] != after[:, 1:]).any(axis=1)),
        cut=_count((after != before[:, :1]).all(axis=1)),
        rehashed=old.hash_key != new.hash_key,
        binds_added=tuple(bind for bind in new.binds if bind not in old.binds),
        binds_removed=tuple(bind for bind in old.binds if bind not in new.binds),
        backends=_shares(addresses, before[:, 0], after[:, 0]),
    )


def diff_all(old: Sequence[BuiltTable], new: Sequence[BuiltTable]) -> DiffAll:
    """Compare all tables, matched as by `match`. Raises TableError if a name occurs twice."""
    matching = match(old, new)
    return DiffAll(
        added=tuple(table.name for table in matching.added),
        removed=tuple(table.name for table in matching.removed),
        tables=tuple(diff(before, after) for before, after in matching.both),
    )


def match(old: Sequence[BuiltTable], new: Sequence[BuiltTable]) -> Matching:
    """Match tables by name, or by position where one side was read from a binary, which has no names.

    Raises TableError if a name occurs twice.
    """
    by_position = any(table.seed is None for table in (*old, *new))
    before, after = _keyed(old, by_position), _keyed(new, by_position)
    return Matching(
        added=tuple(table for key, table in after.items() if key not in before),
        removed=tuple(table for key, table in before.items() if key not in after),
        both=tuple((before[key], table) for key, table in after.items() if key in before),
    )


def _keyed(tables: Sequence[BuiltTable], by_position: bool) -> dict[str, BuiltTable]:
    keyed = {str(position) if by_position else table.name: table for position, table in enumerate(tables)}
    if len(keyed) < len(tables):
        raise TableError("tables can be compared only if their names are unique")
    return keyed


def numbered(table: BuiltTable, addresses: Sequence[Address]) -> Hops:
    """The rows with each hop as its number in `addresses`, or END_OF_ROW."""
    number_of = {address: number for number, address in enumerate(addresses)}
    numbers = np.full(NO_HOP + 1, END_OF_ROW, np.int32)
    numbers[: len(table.backends)] = [number_of[backend.address] for backend in table.backends]
    return numbers[table.rows]


def _same_depth(before: Hops, after: Hops) -> tuple[Hops, Hops]:
    """Both with as many columns as the deeper of the two."""
    depth = max(before.shape[1], after.shape[1])
    return _widened(before, depth), _widened(after, depth)


def _widened(hops: Hops, depth: int) -> Hops:
    return np.pad(hops, ((0, 0), (0, depth - hops.shape[1])), constant_values=END_OF_ROW)


def _count(rows: npt.NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(rows))


def _shares(addresses: Sequence[Address], before: Hops, after: Hops) -> tuple[BackendShare, ...]:
    moved = before != after
    owned, owns, lost, gained = (
        np.bincount(hops, minlength=len(addresses)) for hops in (before, after, before[moved], after[moved])
    )
    return tuple(
        BackendShare(address, int(owned[i]), int(owns[i]), int(gained[i]), int(lost[i]))
        for i, address in enumerate(addresses)
    )


def describe_changes(before: Sequence[BuiltTable], after: Sequence[BuiltTable]) -> str:
    """Such as "web: backends +1 -0, binds +0 -0, 10.0.0.2 active -> draining"; unchanged tables are left out.

    Health is ignored: checks change it, not files.
    """
    older = {table.name: table for table in before}
    newer = {table.name: table for table in after}
    parts = [f"table {name} added" for name in newer if name not in older]
    parts += [f"table {name} removed" for name in older if name not in newer]
    parts += [part for name in newer if name in older for part in _table_changes(older[name], newer[name])]
    return "; ".join(parts) or "no table, backend, bind or state changed"


def _table_changes(before: BuiltTable, after: BuiltTable) -> Iterator[str]:
    facts = [
        _difference("backends", {each.address for each in before.backends}, {each.address for each in after.backends}),
        _difference("binds", set(before.binds), set(after.binds)),
        *_states(before, after),
    ]
    if line := ", ".join(fact for fact in facts if fact):
        yield f"{after.name}: {line}"


def _difference(what: str, before: set[object], after: set[object]) -> str:
    return f"{what} +{len(after - before)} -{len(before - after)}" if before != after else ""


def _states(before: BuiltTable, after: BuiltTable) -> list[str]:
    states = {backend.address: backend.state for backend in before.backends}
    moved = [
        f"{backend.address} {states[backend.address]} -> {backend.state}"
        for backend in after.backends
        if states.get(backend.address, backend.state) != backend.state
    ]
    rest = len(moved) - _STATES_SHOWN
    return [*moved[:_STATES_SHOWN], *([f"{rest} more states"] if rest > 0 else [])]
