# SPDX-License-Identifier: MIT
"""Failure domains: the second hop of a row comes from another zone than the first."""

from collections.abc import Sequence
from ipaddress import ip_address

import numpy as np
import pytest

from glb.config.model import Backend, State
from glb.hashing.rendezvous import ROWS
from glb.table.rows import build_rows
from tests.unit import reference

SEED = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
SAMPLE = range(0, ROWS, 509)


def backends(zones: Sequence[str | None], down: Sequence[int] = ()) -> list[Backend]:
    """A backend for each zone; those that are down drain or are unhealthy by turns."""
    return [
        Backend(
            ip_address(0x0A000001 + i),
            State.DRAINING if i in down and i % 2 else State.ACTIVE,
            healthy=i not in down or bool(i % 2),
            zone=zone,
        )
        for i, zone in enumerate(zones)
    ]


def ranking(count: int, row: int) -> list[int]:
    return reference.ranking([(ip_address(0x0A000001 + i), "active", True) for i in range(count)], SEED, row)


TWO = ["a", "b"] * 5
THREE = ["a", "b", "c"] * 4
UNEVEN = ["a"] * 14 + ["b", "b"]
LONELY = ["a"] * 11 + [None]


@pytest.mark.parametrize("zones", [TWO, THREE, UNEVEN, LONELY], ids=["two", "three", "uneven", "one-without-a-zone"])
@pytest.mark.parametrize("depth", [2, 3, 5, 8])
def test_the_second_hop_comes_from_another_zone(zones: list[str | None], depth: int) -> None:
    rows = build_rows(backends(zones), SEED, depth)

    names = np.array([zone or "" for zone in zones])
    assert (names[rows[:, 0]] != names[rows[:, 1]]).all()


@pytest.mark.parametrize("zones", [TWO, UNEVEN], ids=["two", "uneven"])
def test_zones_leave_the_first_hop_as_it_is(zones: list[str | None]) -> None:
    for depth in (2, 3):
        zoned = build_rows(backends(zones), SEED, depth)
        assert (zoned[:, 0] == build_rows(backends([None] * len(zones)), SEED, depth)[:, 0]).all()


@pytest.mark.parametrize(
    "zones",
    [["a"] * 9, [f"rack {i}" for i in range(9)], ["a", *[None] * 8]],
    ids=["one-zone", "a-zone-each", "one-has-a-zone"],
)
@pytest.mark.parametrize("down", [(), (1, 2)])
@pytest.mark.parametrize("depth", [2, 3])
def test_zones_without_a_common_member_change_nothing(
    zones: list[str | None], down: tuple[int, ...], depth: int
) -> None:
    plain = build_rows(backends([None] * 9, down), SEED, depth)

    assert (build_rows(backends(zones, down), SEED, depth) == plain).all()


@pytest.mark.parametrize("zones", [TWO, THREE, UNEVEN], ids=["two", "three", "uneven"])
@pytest.mark.parametrize("down", [(), (0,), (1, 4, 5), tuple(range(8)), tuple(range(16))], ids=str)
@pytest.mark.parametrize("depth", [3, 4, 8])
def test_rows_with_zones_are_as_the_rules_say(zones: list[str], down: tuple[int, ...], depth: int) -> None:
    rows = build_rows(backends(zones, down), SEED, depth)

    standing = [0 if i not in down else 1 if i % 2 else 2 for i in range(len(zones))]
    for row in SAMPLE:
        assert rows[row].tolist() == reference.zoned_row(ranking(len(zones), row), zones, standing, depth)


@pytest.mark.parametrize("zones", [TWO, UNEVEN], ids=["two", "uneven"])
def test_two_hops_of_two_zones_swap_as_githubs_do(zones: list[str]) -> None:
    rows = build_rows(backends(zones, down=(0, 2, 4)), SEED, 2)

    for row in SAMPLE:
        ranked = ranking(len(zones), row)
        first = ranked[0]
        second = next(i for i in ranked if zones[i] != zones[first])
        stands_in = first in (0, 2, 4)  # those are unhealthy, and all states are active
        assert rows[row].tolist() == ([second, first] if stands_in else [first, second])


def test_draining_a_zone_keeps_its_backends_in_their_rows() -> None:
    before = build_rows(backends(UNEVEN), SEED, 3)

    after = build_rows(backends(UNEVEN, down=(14, 15)), SEED, 3)

    assert (np.sort(before, axis=1) == np.sort(after, axis=1)).all()


def test_a_zone_of_inactive_backends_is_none() -> None:
    table = [*backends(["a"] * 6), Backend(ip_address("10.0.1.1"), State.INACTIVE, zone="b")]

    rows = build_rows(table, SEED, 3)

    assert (rows == build_rows(backends([None] * 6), SEED, 3)).all()
