# SPDX-License-Identifier: MIT
"""Entries to count traffic in: kept by their owners from generation to generation."""

import numpy as np
import pytest

from glb.datapath.generation import MARK, Marks, TrafficOwner, assign
from glb.errors import DatapathError

OWNERS: list[TrafficOwner] = [("bind", "web", f"203.0.113.10:{port}/tcp") for port in range(4)]


def marks_of(*owners: TrafficOwner, size: int = 8, before: Marks | None = None) -> Marks:
    """The marks of a generation with these owners, which follows another one."""
    marks = np.zeros(size, MARK)
    assign(owners, marks if before is None else before).mark(marks)
    return marks


def test_owners_keep_their_entries_and_new_ones_get_free_ones() -> None:
    first, second, third, fourth = OWNERS
    earlier = assign([first, second], np.zeros(8, MARK))
    later = assign([second, third, fourth], marks_of(first, second))

    assert earlier.fresh == tuple(earlier.entries.values())
    assert later.entries[second] == earlier.entries[second]
    assert later.fresh == (later.entries[third], later.entries[fourth])
    assert not set(later.fresh) & set(earlier.entries.values()), "packets may still be counted for the old owners"


def test_entries_are_free_a_generation_after_their_owner() -> None:
    first, second, third, _ = OWNERS
    marks = marks_of(first, size=2)
    for owner in (second, third, first, second):
        marks = marks_of(owner, size=2, before=marks)


def test_an_owner_that_is_there_twice_has_one_entry() -> None:
    assert len(assign([OWNERS[0], OWNERS[0]], np.zeros(1, MARK)).fresh) == 1


def test_too_few_entries_are_an_error() -> None:
    with pytest.raises(DatapathError, match="no free entry to count traffic in"):
        assign(OWNERS, np.zeros(3, MARK))
