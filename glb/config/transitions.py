# SPDX-License-Identifier: MIT
"""Which changes of a backend's state keep its connections: the legal moves of the state machine.

    not there ──> filling ──> active ──> draining ──> inactive, or not there any more

A backend is in the rows of its table as long as it is filling, active or draining. So it leaves them, to be inactive
or removed, only from draining, when its connections have come to their end. It may turn back from draining any time.
"""

from dataclasses import dataclass

from glb.config.model import State

ListedState = State | None
"""A backend's state in a table; None if the table does not list it."""

LEGAL: dict[ListedState, frozenset[ListedState]] = {
    None: frozenset({State.FILLING, State.ACTIVE, State.INACTIVE}),
    State.FILLING: frozenset({State.ACTIVE, State.DRAINING}),
    State.ACTIVE: frozenset({State.DRAINING}),
    State.DRAINING: frozenset({State.FILLING, State.ACTIVE, State.INACTIVE, None}),
    State.INACTIVE: frozenset({State.FILLING, State.ACTIVE, None}),
}


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a move is not legal, as the end of a sentence that begins with the backend, and what to do instead."""

    reason: str
    remedy: str


def objection(before: ListedState, after: ListedState) -> Objection | None:
    """What speaks against a move; None if it is legal, or no move at all."""
    if before == after or after in LEGAL[before]:
        return None
    if after is State.DRAINING:
        return Objection("is in no row, so it has no connection that could be drained", "fill it, or leave it")
    if after is State.FILLING:
        return Objection("is active, and only a backend that comes is filling", "drain it first, or leave it")
    leave = "removed" if after is None else "inactive"
    return Objection(f"is {before}, and {leave} at once its connections would be cut", "drain it first")
