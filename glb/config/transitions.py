# SPDX-License-Identifier: MIT
"""The transitions of a backend's state that keep its connections.

    not listed ──> filling ──> active ──> draining ──> inactive, or not listed

A backend is in the rows of its table while it is filling, active or draining. It leaves them, to be inactive or
removed, only from draining, once its connections have closed. It may return from draining at any time.
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
    """Why a transition is not allowed, as a predicate of the backend, and what to do instead."""

    reason: str
    remedy: str


def objection(before: ListedState, after: ListedState) -> Objection | None:
    """Why a transition is not allowed; None if it is, or if the state does not change."""
    if before == after or after in LEGAL[before]:
        return None
    if after is State.DRAINING:
        return Objection("is in no row, so it has no connection to drain", "fill it, or leave it as it is")
    if after is State.FILLING:
        return Objection("is active, and only a new backend can be filling", "drain it first, or leave it as it is")
    leave = "removed" if after is None else "inactive"
    return Objection(f"is {before}; if it were {leave} now, its connections would be cut", "drain it first")
