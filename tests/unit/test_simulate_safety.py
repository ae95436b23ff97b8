# SPDX-License-Identifier: MIT
"""The rule of docs/simulate.md on what may be changed at the same time, against every small case."""

from functools import cache

import pytest

from glb.simulate.safe_changes import DEPTHS, CaseChange, Effect, SafetyResult, safety_results

LEAVES = (CaseChange.DRAIN, CaseChange.FAIL)


@cache
def every(depth: int) -> tuple[SafetyResult, ...]:
    return tuple(verdict for moves in (1, 2) for verdict in safety_results(depth, moves))


def load(verdict: SafetyResult) -> int:
    """How many backends are draining, failed or new, once the changes are made."""
    return verdict.leaving + sum(change in (*LEAVES, CaseChange.ADD) for change in verdict.changes)


@pytest.mark.parametrize("depth", DEPTHS)
def test_fewer_than_a_rows_hops_may_drain_fail_and_be_new(depth: int) -> None:
    within = [v for v in every(depth) if load(v) < depth and CaseChange.REMOVE_ACTIVE not in v.changes]

    assert len(within) >= 7
    assert [v for v in within if v.at_once is not Effect.KEPT] == []


@pytest.mark.parametrize("depth", DEPTHS)
def test_late_director_cuts_only_an_added_backend(depth: int) -> None:
    within = [v for v in every(depth) if load(v) < depth and CaseChange.REMOVE_ACTIVE not in v.changes]

    assert {CaseChange.ADD in v.changes for v in within if v.late is Effect.CUT} == {True}


@pytest.mark.parametrize("depth", DEPTHS)
def test_late_director_stalls_only_behind_a_failed_backend(depth: int) -> None:
    stalled = [v for v in every(depth) if load(v) < depth and v.late is Effect.STALLED]

    assert all({CaseChange.FAIL, CaseChange.RECOVER, CaseChange.REMOVE_FAILED} & set(v.changes) for v in stalled)


@pytest.mark.parametrize("depth", DEPTHS)
def test_one_more_is_one_too_many(depth: int) -> None:
    too_many = [v for v in every(depth) if v.changes == (CaseChange.ADD,) and v.leaving == depth - 1]

    assert [v.at_once for v in too_many] == [Effect.CUT]


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_removal_without_a_drain_always_cuts(depth: int) -> None:
    removals = [v for v in every(depth) if v.changes == (CaseChange.REMOVE_ACTIVE,)]

    assert {v.at_once for v in removals} == {Effect.CUT}
