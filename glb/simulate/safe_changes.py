# SPDX-License-Identifier: MIT
"""Which changes of a table are safe, also while directors have different tables: exhaustive over small cases.

A case is a table of a few backends in any states, and one or two changes. Its rows are built by glb.table, with the
backends in every order of preference, so the result applies to the members of any row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cache
from ipaddress import IPv4Address
from itertools import combinations_with_replacement, product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glb.config.model import Backend, State
from glb.table.builder import RowBuilder
from glb.table.model import NO_HOP

Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

DEPTHS = (2, 3)
"""The depths of the cases; deeper rows behave like those of depth 3."""

_BUILDER = RowBuilder()
_SEED = b"every small case"
_FULL_DEPTH = 8
_ADDRESS = IPv4Address("10.0.0.1")


class Effect(IntEnum):
    """The worst effect of a change on connections."""

    KEPT = 0
    STALLED = 1
    """Their packets reach a dead host until the change is complete."""
    CUT = 2


class CaseRole(StrEnum):
    """The role of a backend in a case."""

    ACTIVE = "active"
    DRAINING = "draining"
    FAILED = "failed"
    ABSENT = "absent"


class CaseChange(StrEnum):
    """A change of a backend. Filling in counts as adding; a drained backend has no connections."""

    DRAIN = "drain"
    ACTIVATE = "activate"
    ADD = "add"
    REMOVE = "remove drained"
    REMOVE_FAILED = "remove failed"
    FAIL = "fail"
    RECOVER = "recover"
    REMOVE_ACTIVE = "remove active"


_AS_BACKEND = {
    CaseRole.ACTIVE: (State.ACTIVE, True),
    CaseRole.DRAINING: (State.DRAINING, True),
    CaseRole.FAILED: (State.ACTIVE, False),
    CaseRole.ABSENT: (State.INACTIVE, True),
}

_STEPS = {
    CaseChange.DRAIN: (CaseRole.ACTIVE, CaseRole.DRAINING),
    CaseChange.ACTIVATE: (CaseRole.DRAINING, CaseRole.ACTIVE),
    CaseChange.ADD: (CaseRole.ABSENT, CaseRole.ACTIVE),
    CaseChange.REMOVE: (CaseRole.DRAINING, CaseRole.ABSENT),
    CaseChange.REMOVE_FAILED: (CaseRole.FAILED, CaseRole.ABSENT),
    CaseChange.FAIL: (CaseRole.ACTIVE, CaseRole.FAILED),
    CaseChange.RECOVER: (CaseRole.FAILED, CaseRole.ACTIVE),
    CaseChange.REMOVE_ACTIVE: (CaseRole.ACTIVE, CaseRole.ABSENT),
}

Case = tuple[CaseRole, ...]
"""The role of each backend."""


@dataclass(frozen=True, slots=True)
class SafetyResult:
    """The worst effect of changes that are made at the same time.

    `leaving` is the number of backends that are draining or failed before. at_once: each connection's packets follow
    the old table first, then the new one. late: they may follow the new table first and the old one later, which
    requires a late director, and traffic that moves between directors in the meantime.
    """

    depth: int
    changes: tuple[CaseChange, ...]
    leaving: int
    at_once: Effect
    late: Effect


def safety_results(depth: int, moves: int) -> Iterator[SafetyResult]:
    """The results of all combinations of 1 or 2 changes at depth 2 or 3, by the backends leaving before."""
    worst: dict[tuple[tuple[CaseChange, ...], int], tuple[Effect, Effect]] = {}
    for before in combinations_with_replacement(CaseRole, depth + 2):
        for changes, after in _changes(before, moves):
            key = (changes, _leaving(before))
            at_once = _fate(depth, _hosts(before, after), _Step(before, after), Effect.CUT)
            late = _fate(depth, _hosts(before, after), _Step(after, before), Effect.STALLED)
            known = worst.get(key, (Effect.KEPT, Effect.KEPT))
            worst[key] = max(known[0], at_once), max(known[1], late)
    for (changes, leaving), (at_once, late) in sorted(worst.items(), key=lambda item: _place(*item[0])):
        yield SafetyResult(depth, changes, leaving, at_once, late)


def _place(changes: tuple[CaseChange, ...], leaving: int) -> tuple[list[int], int]:
    order = list(CaseChange)
    return [order.index(change) for change in changes], leaving


def _leaving(case: Case) -> int:
    return case.count(CaseRole.DRAINING) + case.count(CaseRole.FAILED)


def _changes(before: Case, moves: int) -> Iterator[tuple[tuple[CaseChange, ...], Case]]:
    """All combinations of this number of changes, each of another backend, and the resulting cases.

    Backends of one role are interchangeable, since all orders are covered. A table always has an active backend.
    """
    for changes in combinations_with_replacement(CaseChange, moves):
        after = _changed(before, changes)
        if after is not None and CaseRole.ACTIVE in before and CaseRole.ACTIVE in after:
            yield changes, after


def _changed(before: Case, changes: tuple[CaseChange, ...]) -> Case | None:
    """The case after these changes; None if it has not enough backends of the roles."""
    after: dict[int, CaseRole] = {}
    for old, new in (_STEPS[change] for change in changes):
        place = next((place for place, role in enumerate(before) if role is old and place not in after), None)
        if place is None:
            return None
        after[place] = new
    return tuple(after.get(place, role) for place, role in enumerate(before))


class _Hosts(NamedTuple):
    """Which hosts are dead, and which have no connections; the last position means no host."""

    gone: Flags
    empty: Flags


def _hosts(before: Case, after: Case) -> _Hosts:
    """The hosts during the change: one that recovers is alive before that is detected, a drained one is empty."""
    steps = list(zip(before, after, strict=True))
    gone = [now is CaseRole.FAILED or (was, now) == _STEPS[CaseChange.REMOVE_FAILED] for was, now in steps]
    empty = [step == _STEPS[CaseChange.REMOVE] for step in steps]
    return _Hosts(np.array([*gone, False]), np.array([*empty, True]))


class _Step(NamedTuple):
    """Packets follow one table, then the other."""

    first: Case
    then: Case


def _fate(depth: int, hosts: _Hosts, step: _Step, if_lost: Effect) -> Effect:
    """The worst effect of the step on connections that the first table serves, whenever they were opened.

    `if_lost` is the effect of packets that reach a dead host.
    """
    worst = Effect.KEPT
    for earlier in _histories(step.first):
        homes = _rows(depth, earlier)[:, 0]
        served, _ = _walk(_rows(depth, step.first), homes, hosts.gone)
        counted = served & ~(hosts.gone | hosts.empty)[homes]
        kept, lost = _walk(_rows(depth, step.then), homes, hosts.gone)
        if (counted & ~kept & ~lost).any():
            return Effect.CUT
        if (counted & lost).any():
            worst = max(worst, if_lost)
    return worst


def _walk(rows: Places, homes: Places, gone: Flags) -> tuple[Flags, Flags]:
    """For each row, whether packets of connections of these homes arrive, and whether they are lost before."""
    known_at, lost_at = _first(rows == homes[:, np.newaxis]), _first(gone[rows])
    return (known_at < lost_at) & (known_at < rows.shape[1]), lost_at < known_at


def _first(flags: Flags) -> Places:
    """The position of the first set flag in each row; the number of columns if none is set."""
    places: Places = np.where(flags.any(axis=1), flags.argmax(axis=1), flags.shape[1])
    return places


def _histories(case: Case) -> Iterator[Case]:
    """The case, and all cases before its backends began to drain or failed, in any order."""
    choices = [(role,) if role in (CaseRole.ACTIVE, CaseRole.ABSENT) else (role, CaseRole.ACTIVE) for role in case]
    return product(*choices)


@cache
def _rows(depth: int, case: Case) -> Places:
    """One row of the case's table for each order of preference of its backends; the case's length means no backend."""
    rows = _BUILDER.rows(_backends(case), _SEED, depth)[_one_of_each_order(len(case))]
    return np.where(rows == NO_HOP, len(case), rows.astype(np.intp))


@cache
def _one_of_each_order(count: int) -> Places:
    """The first of the 65,536 rows that has the backends in this order, for each order."""
    rows = _BUILDER.rows(_backends((CaseRole.ACTIVE,) * count), _SEED, _FULL_DEPTH)
    return np.unique(rows, axis=0, return_index=True)[1]


def _backends(case: Case) -> tuple[Backend, ...]:
    return tuple(Backend(_ADDRESS + place, *_AS_BACKEND[role]) for place, role in enumerate(case))
