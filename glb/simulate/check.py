# SPDX-License-Identifier: MIT
"""Contradictions between the values of a scenario, such as events of hosts that do not exist."""

from collections.abc import Iterator

from glb.config.check import repeated
from glb.config.field import Problem
from glb.config.model import State
from glb.simulate.connections import count_of
from glb.simulate.model import LEADS_TO, EventKind, Scenario, ScenarioEvent

MOST_CONNECTIONS = 50_000_000


def find_problems(scenario: Scenario) -> Iterator[Problem]:
    """Every contradiction in a scenario, with its field."""
    if not scenario.events:
        yield ("events",), "no event; add at least one"
    if not scenario.ecmp or len(set(scenario.ecmp)) < len(scenario.ecmp):
        yield ("ecmp",), "list each kind once, and at least one"
    if count_of(scenario) > MOST_CONNECTIONS:
        yield ("arrivals_per_s",), f"makes {count_of(scenario):,} connections; at most {MOST_CONNECTIONS:,}"
    yield from _late(scenario)
    yield from _times(scenario)
    yield from _moves(scenario)


def _late(scenario: Scenario) -> Iterator[Problem]:
    numbers = [(("late", index, "director"), number) for index, (number, _) in enumerate(scenario.late)]
    for place, number in numbers:
        if number > scenario.most_directors:
            yield place, f"{number} does not exist; the last is {scenario.most_directors}"
    yield from repeated(numbers)


def _times(scenario: Scenario) -> Iterator[Problem]:
    latest = 0.0
    for index, event in enumerate(scenario.events):
        place = ("events", index, "at_s")
        if event.at_s < latest:
            yield place, f"{event.at_s:g} is before the previous event, at {latest:g}; sort the events by time"
        if not 0 < event.at_s < scenario.duration_s:
            yield place, f"{event.at_s:g} is outside the run, which is above 0 and below {scenario.duration_s:g}"
        latest = max(latest, event.at_s)


def _moves(scenario: Scenario) -> Iterator[Problem]:
    present = _Present(scenario)
    noticed: dict[tuple[bool, int], float] = {}
    for index, event in enumerate(scenario.events):
        place = ("events", index, "director" if event.move.of_director else "backend")
        key = (event.move.of_director, event.number)
        if event.at_s <= noticed.get(key, 0.0):
            yield place, f"the previous event of {event.number} takes effect at {noticed[key]:g} s; make this one later"
        noticed[key] = scenario.noticed_s(event)
        what = present.objection(event)
        if what:
            yield place, f"{event.number} {what}"
        present.take(event)
        if present.is_empty:
            yield place, f"{event.number} is the last {place[2]}; at least one must remain"
            return


class _Present:
    """The directors and backends that exist after each event."""

    def __init__(self, scenario: Scenario) -> None:
        self._directors = set(range(1, scenario.directors + 1))
        self._states = dict.fromkeys(range(1, scenario.backends + 1), State.ACTIVE)
        self._failed: set[int] = set()

    @property
    def is_empty(self) -> bool:
        """Whether no director or no backend is left."""
        return not (self._directors and self._states)

    def take(self, event: ScenarioEvent) -> None:
        match event.move:
            case EventKind.DIRECTOR_ADD:
                self._directors.add(event.number)
            case EventKind.DIRECTOR_STOP | EventKind.DIRECTOR_LOSS:
                self._directors.discard(event.number)
            case EventKind.BACKEND_FAIL:
                self._failed.add(event.number)
            case EventKind.BACKEND_RECOVER:
                self._failed.discard(event.number)
            case EventKind.BACKEND_REMOVE:
                self._states.pop(event.number, None)
            case _:
                self._states[event.number] = LEADS_TO[event.move]

    def objection(self, event: ScenarioEvent) -> str | None:
        """Why the event cannot happen now; None if it can."""
        if event.move.of_director:
            there = event.number in self._directors
            if event.move is EventKind.DIRECTOR_ADD:
                return "exists already" if there else None
            return None if there else f"does not exist at {event.at_s:g} s"
        return self._backend_objection(event)

    def _backend_objection(self, event: ScenarioEvent) -> str | None:
        state = self._states.get(event.number)
        failed = event.number in self._failed
        match event.move:
            case EventKind.BACKEND_ADD if state is not None:
                return f"is in the table already, {state}"
            case EventKind.BACKEND_FILL if state not in (None, State.DRAINING):
                return f"is in the table already, {state}"
            case EventKind.BACKEND_ADD | EventKind.BACKEND_FILL:
                return None
            case _ if state is None:
                return f"is not in the table at {event.at_s:g} s"
            case EventKind.BACKEND_FAIL if failed:
                return "has failed already"
            case EventKind.BACKEND_RECOVER if not failed:
                return "has not failed"
        return f"is already {state}" if LEADS_TO.get(event.move) is state else None
