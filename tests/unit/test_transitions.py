# SPDX-License-Identifier: MIT
"""The state machine of a backend in its table."""

from itertools import pairwise

import pytest

from glb.config.model import State
from glb.config.transitions import ListedState, objection

FILLING, ACTIVE, DRAINING, INACTIVE = State.FILLING, State.ACTIVE, State.DRAINING, State.INACTIVE
PLACES: tuple[ListedState, ...] = (None, FILLING, ACTIVE, DRAINING, INACTIVE)


@pytest.mark.parametrize(
    "life",
    [
        (None, FILLING, ACTIVE, DRAINING, None),
        (None, ACTIVE, DRAINING, INACTIVE, FILLING, ACTIVE),
        (None, INACTIVE, ACTIVE, DRAINING, ACTIVE, DRAINING, FILLING, DRAINING, INACTIVE, None),
        (FILLING, DRAINING, FILLING),
    ],
    ids=str,
)
def test_a_life_that_keeps_all_connections_is_legal(life: tuple[ListedState, ...]) -> None:
    for before, after in pairwise(life):
        assert objection(before, after) is None


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_to_stay_is_legal(place: ListedState) -> None:
    assert objection(place, place) is None


@pytest.mark.parametrize("before", [FILLING, ACTIVE])
@pytest.mark.parametrize("after", [INACTIVE, None])
def test_a_backend_leaves_the_rows_only_by_a_drain(before: State, after: ListedState) -> None:
    found = objection(before, after)

    assert found is not None
    assert found.reason.startswith(f"is {before}; if it were {'removed' if after is None else 'inactive'} now")
    assert found.remedy == "drain it first"


@pytest.mark.parametrize("before", [None, INACTIVE])
def test_what_is_in_no_row_cannot_drain(before: ListedState) -> None:
    found = objection(before, DRAINING)

    assert found is not None
    assert "no connection to drain" in found.reason


def test_a_full_member_does_not_become_a_new_one() -> None:
    found = objection(ACTIVE, FILLING)

    assert found is not None
    assert "only a new backend can be filling" in found.reason
