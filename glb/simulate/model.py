# SPDX-License-Identifier: MIT
"""A scenario as immutable values. `schema.py` makes them from a file, `check.py` checks them."""

from dataclasses import dataclass
from enum import StrEnum

from glb.config.model import State


class Distribution(StrEnum):
    """The distribution of connections' lifetimes.

    fixed: all equal. exponential: memoryless. pareto: most are short, a few very long.
    """

    FIXED = "fixed"
    EXPONENTIAL = "exponential"
    PARETO = "pareto"


class Ecmp(StrEnum):
    """A router's method of choosing a next hop.

    modulo: hash modulo their number. resilient: a fixed number of buckets, of which only those of a lost hop move.
    """

    MODULO = "modulo"
    RESILIENT = "resilient"


class EventKind(StrEnum):
    """The kind of event, of a director or a backend.

    A director is added, stopped as planned (its route is withdrawn first), or lost (the router detects that). A backend
    drains, becomes active again, is filled in, added or removed, fails (its host is dead), or recovers.
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
        """Whether this is an event of a director."""
        return self in (EventKind.DIRECTOR_ADD, EventKind.DIRECTOR_STOP, EventKind.DIRECTOR_LOSS)


LEADS_TO = {
    EventKind.BACKEND_DRAIN: State.DRAINING,
    EventKind.BACKEND_ACTIVATE: State.ACTIVE,
    EventKind.BACKEND_FILL: State.FILLING,
    EventKind.BACKEND_ADD: State.ACTIVE,
    EventKind.BACKEND_REMOVE: State.INACTIVE,
}
"""The state of a backend after an event; inactive is equivalent to not listed."""


@dataclass(frozen=True, slots=True)
class ScenarioEvent:
    """An event of a director or backend, by its number from 1, at a time in seconds from the start."""

    at_s: float
    move: EventKind
    number: int


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The lifetime of connections, in seconds; `shape` is for the Pareto distribution only."""

    distribution: Distribution = Distribution.EXPONENTIAL
    mean_s: float = 30.0
    shape: float = 1.5


@dataclass(frozen=True, slots=True)
class Scenario:
    """A topology, its connections, and its events.

    `directors` and `backends` are their numbers at the start, counted from 1. `late` lists directors whose table
    changes some seconds after the others'. A router detects a lost director after `director_notice_s`, directors a
    failed backend after `backend_notice_s`. A client without an answer gives up after `patience_s`. `sync_delay_s` is
    the time in which LVS copies a new connection to the other directors. `buckets` is the number of buckets of
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
        """The time at which the router or the directors react to an event."""
        if event.move is EventKind.DIRECTOR_LOSS:
            return event.at_s + self.director_notice_s
        if event.move in (EventKind.BACKEND_FAIL, EventKind.BACKEND_RECOVER):
            return event.at_s + self.backend_notice_s
        return event.at_s
