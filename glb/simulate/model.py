# SPDX-License-Identifier: MIT
"""A scenario as immutable values. `schema.py` makes them of a file, `check.py` says what must hold between them."""

from dataclasses import dataclass
from enum import StrEnum

from glb.config.model import State


class Distribution(StrEnum):
    """How long connections live.

    fixed: all the same. exponential: without a memory. pareto: most are short, a few very long.
    """

    FIXED = "fixed"
    EXPONENTIAL = "exponential"
    PARETO = "pareto"


class Ecmp(StrEnum):
    """How a router chooses among its next hops.

    modulo: hash modulo their number. resilient: a fixed number of buckets, of which only a lost hop's change hands.
    """

    MODULO = "modulo"
    RESILIENT = "resilient"


class EventKind(StrEnum):
    """What happens to a director or to a backend.

    A director is added, stopped as planned (the router is told first), or lost (the router finds out). A backend
    drains, is active again, filled in or added anew, removed, fails (its host is gone), or recovers from that.
    """

    DIRECTOR_ADD = "director_add"
    DIRECTOR_STOP = "director_stop"
    DIRECTOR_LOSS = "director_loss"
    BACKEND_DRAIN = "backend_drain"
    BACKEND_ACTIVATE = "backend_activate"
    BACKEND_FILL = "backend_fill"
    BACKEND_ADD = "backend_add"
    BACKEND_REMOVE = "backend_remove"
    BACKEND_FAIL = "backend_fail"
    BACKEND_RECOVER = "backend_recover"

    @property
    def of_director(self) -> bool:
        """Whether this happens to a director, and not to a backend."""
        return self in (EventKind.DIRECTOR_ADD, EventKind.DIRECTOR_STOP, EventKind.DIRECTOR_LOSS)


LEADS_TO = {
    EventKind.BACKEND_DRAIN: State.DRAINING,
    EventKind.BACKEND_ACTIVATE: State.ACTIVE,
    EventKind.BACKEND_FILL: State.FILLING,
    EventKind.BACKEND_ADD: State.ACTIVE,
    EventKind.BACKEND_REMOVE: State.INACTIVE,
}
"""The state that a backend is in after a move; inactive is as good as not there."""


@dataclass(frozen=True, slots=True)
class ScenarioEvent:
    """A move of a director or backend, by its number from 1, at a time in seconds from the start."""

    at_s: float
    move: EventKind
    number: int


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Of a connection, in seconds; `shape` is that of the Pareto distribution alone."""

    distribution: Distribution = Distribution.EXPONENTIAL
    mean_s: float = 30.0
    shape: float = 1.5


@dataclass(frozen=True, slots=True)
class Scenario:
    """A topology, its connections, and what happens.

    `directors` and `backends` are how many there are at the start, numbered from 1. `late` has the directors whose
    table changes some seconds after the others'. A router learns of a lost director after `director_notice_s`,
    directors of a failed backend after `backend_notice_s`. A client that hears nothing gives up after `patience_s`.
    `sync_delay_s` is how long LVS takes to copy a new connection to the other directors. `buckets` are those of
    resilient hashing.
    """

    name: str
    description: str
    duration_s: float
    events: tuple[ScenarioEvent, ...]
    directors: int = 4
    backends: int = 20
    depth: int = 3
    arrivals_per_s: float = 1000.0
    lifetime: Lifetime = Lifetime()
    ecmp: tuple[Ecmp, ...] = (Ecmp.MODULO, Ecmp.RESILIENT)
    buckets: int = 1024
    late: tuple[tuple[int, float], ...] = ()
    director_notice_s: float = 0.3
    backend_notice_s: float = 2.0
    patience_s: float = 15.0
    sync_delay_s: float = 1.0

    @property
    def most_directors(self) -> int:
        """The highest number of a director."""
        return max(self.directors, *(event.number for event in self.events if event.move.of_director), 0)

    @property
    def most_backends(self) -> int:
        """The highest number of a backend."""
        return max(self.backends, *(event.number for event in self.events if not event.move.of_director), 0)

    def noticed_s(self, event: ScenarioEvent) -> float:
        """When the router, or the directors, act on an event."""
        if event.move is EventKind.DIRECTOR_LOSS:
            return event.at_s + self.director_notice_s
        if event.move in (EventKind.BACKEND_FAIL, EventKind.BACKEND_RECOVER):
            return event.at_s + self.backend_notice_s
        return event.at_s
