# SPDX-License-Identifier: MIT
"""Weighted rendezvous hashing: shares, the order of rows, and what is too near to be told apart in a key."""

from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise

import numpy as np
import pytest

from glb.config.model import Backend
from glb.hashing import rendezvous
from glb.hashing.ranking import Ranking
from glb.hashing.rendezvous import ROWS, Candidate
from glb.table.rows import build_rows
from tests.unit import reference

SEED = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")


def backends(*weights: float, first: str = "10.0.0.1") -> list[Backend]:
    return [Backend(ip_address(first) + i, weight=weight) for i, weight in enumerate(weights)]


def candidates(*weights: float) -> list[Candidate]:
    return [Candidate(backend.address.packed, backend.weight) for backend in backends(*weights)]


@pytest.mark.parametrize("first", ["10.0.0.1", "2001:db8::1"])
@pytest.mark.parametrize(
    "weights",
    [(1, 2), (1, 1, 1, 3), (0.001, 1, 1000), (0.5, 1, 1.5, 2, 2.5, 3), (*[1] * 20, 20), tuple(range(1, 41))],
    ids=str,
)
def test_the_share_of_primaries_follows_the_weights(weights: tuple[float, ...], first: str) -> None:
    rows = build_rows(backends(*weights, first=first), SEED, 3)

    shares = np.bincount(rows[:, 0], minlength=len(weights)) / ROWS
    assert shares == pytest.approx(np.array(weights) / sum(weights), abs=0.01)


@pytest.mark.parametrize("weights", [(1, 2, 3), (0.001, 1000, 7, 7, 0.5), tuple(1 + i % 3 for i in range(40))], ids=str)
@pytest.mark.parametrize("depth", [2, 3, 8])
def test_rows_are_in_the_order_of_weighted_scores(weights: tuple[float, ...], depth: int) -> None:
    table = backends(*weights)

    rows = build_rows(table, SEED, depth)

    by_address = {backend.address: backend.weight for backend in table}
    for row in range(0, ROWS, 1021):
        hops = reference.weighted_ranking(by_address, SEED, row)[:depth]
        assert rows[row, : len(hops)].tolist() == hops


@pytest.mark.parametrize("weight", [0.25, 1000])
@pytest.mark.parametrize("depth", [2, 3])
def test_weights_that_are_all_the_same_change_nothing(weight: float, depth: int) -> None:
    same = build_rows(backends(*[weight] * 9), SEED, depth)

    assert (same == build_rows(backends(*[1] * 9), SEED, depth)).all()


@pytest.mark.parametrize("weights", [(1,) * 8, (1, 2, 3, 4, 1, 2, 3, 4)], ids=["from-equal", "from-others"])
@pytest.mark.parametrize(("weight", "grows"), [(0.5, False), (6, True)])
def test_a_changed_weight_moves_rows_only_to_or_from_its_backend(
    weights: tuple[float, ...], weight: float, grows: bool
) -> None:
    table = backends(*weights)
    before = build_rows(table, SEED, 3)
    table[2] = replace(table[2], weight=weight)

    after = build_rows(table, SEED, 3)

    moved = before[:, 0] != after[:, 0]
    assert moved.any()
    assert ((after if grows else before)[moved, 0] == 2).all()
    apart = ~(before == 2).any(axis=1) & ~(after == 2).any(axis=1)
    assert (before[apart] == after[apart]).all()


def test_a_weight_of_next_to_nothing_counts_as_very_little() -> None:
    rows = build_rows(backends(5e-324, 1e-320, 1), SEED, 3)

    assert (rows[:, 0] == 2).all()
    assert np.bincount(rows[:, 1]) / ROWS == pytest.approx([0.5, 0.5], abs=0.01)


@pytest.mark.parametrize("hashed", [0, 1, 2**32, 2**63, 2**64 - 2**52 - 1, 2**64 - 2**52, 2**64 - 2**11, 2**64 - 1])
def test_scores_are_right_from_the_lowest_hash_to_the_highest(hashed: int) -> None:
    score = rendezvous._scores(np.array([[hashed]], np.uint64), np.array([[3.0]]))[0, 0]

    exact = rendezvous._exact_score(hashed, 3.0)
    assert score >= 0
    assert not np.signbit(score)
    assert float(score) == pytest.approx(float(exact), rel=2.0**-40)


@pytest.mark.parametrize(
    ("weights", "near"), [((1,) * 6, 2**35), ((1, 2, 3, 4, 5, 6), 2**25)], ids=["equal-weights", "weights"]
)
def test_rows_with_near_scores_are_settled_exactly(
    weights: tuple[float, ...], near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranking = Ranking.of(candidates(*weights), SEED, wanted=3)
    as_usual = ranking.members()
    settled: list[int] = []

    def count(row: int, *rest: object) -> list[int]:
        settled.append(row)
        return exactly(row, *rest)  # type: ignore[arg-type]

    exactly = rendezvous.rank_exactly
    monkeypatch.setattr(rendezvous, "rank_exactly", count)
    monkeypatch.setattr(rendezvous, "NEAR", near)

    assert (ranking.members() == as_usual).all()
    assert 10 < len(settled) < 2000


def test_equal_upper_bits_are_ordered_by_the_whole_hash() -> None:
    numbered = dict(enumerate(candidates(1, 1, 1)))
    exact = rendezvous.rank_exactly(7, numbered, SEED, weighted=False)
    for above in (0, 1):  # equal, and one above
        keys = [(5 << 16) + exact[1], (5 + above << 16) + exact[0], (9 << 16) + exact[2]]
        column = np.array([[key] for key in sorted(keys)], np.uint64)

        numbers = rendezvous.settle(column, np.array([7]), numbered, SEED, weighted=False)

        assert numbers[:, 0].tolist() == exact


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("few", [0, 1, 3, 1000])
def test_keys_of_a_few_rows_are_those_of_all(few: int, weighted: bool) -> None:
    mixed = [*candidates(1, 2, 3), *(Candidate(ip_address(f"2001:db8::{i}").packed, i) for i in range(1, 4))]
    numbered = {number * 7: candidate for number, candidate in enumerate(mixed)}
    seeds = rendezvous.row_seeds(SEED)

    keys = rendezvous.lowest_keys(seeds[:few], numbered, SEED, weighted, 4)

    assert (keys == rendezvous.lowest_keys(seeds, numbered, SEED, weighted, 4)[:, :few]).all()


def test_the_exact_order_is_that_of_the_scores() -> None:
    weighted = dict(enumerate(candidates(1, 5, 2, 5)))
    by_address = {backend.address: backend.weight for backend in backends(1, 5, 2, 5)}
    equal = dict(enumerate(candidates(1, 1, 1, 1)))
    entries = [(address, "active", True) for address in by_address]

    for row in range(50):
        assert rendezvous.rank_exactly(row, weighted, SEED, True) == reference.weighted_ranking(by_address, SEED, row)
        assert rendezvous.rank_exactly(row, equal, SEED, False) == reference.ranking(entries, SEED, row)


def test_the_exact_score_grows_with_the_hash_by_however_little() -> None:
    hashes = [0, 1, 2, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1]

    scores = [rendezvous._exact_score(hashed, 0.7) for hashed in hashes]

    assert all(lower < upper for lower, upper in pairwise(scores))
