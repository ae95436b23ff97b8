# SPDX-License-Identifier: MIT
"""A scenario as a sequence of epochs, in each of which nothing changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from itertools import pairwise

from glb.config.model import Backend, State
from glb.simulate.model import LEADS_TO, EventKind, Scenario, ScenarioEvent

Backends = tuple[Backend, ...]
"""A version of the table: all backends of the scenario, by number; those that it does not list are inactive."""

_FIRST_ADDRESS = IPv4Address("10.0.0.1")


@dataclass(frozen=True, slots=True)
class Epoch:
    """The time between two changes. Directors and backends are numbers from 0.

    `routed` are the directors in the router's routes, `running` those that are alive. `versions` is each director's
    version of the table, `newest` the version of directors that are not late. `failed` are the backends whose hosts
    are dead.
    """

    begin_s: float
    end_s: float
    routed: tuple[int, ...]
    running: frozenset[int]
    versions: tuple[int, ...]
    newest: int
    failed: frozenset[int]

    @property
    def seconds(self) -> float:
        return self.end_s - self.begin_s


@dataclass(frozen=True, slots=True)
class Timeline:
    """The versions of the table in order, and the epochs."""

    tables: tuple[Backends, ...]
    epochs: tuple[Epoch, ...]


def timeline(scenario: Scenario) -> Timeline:
    """The versions and epochs of a scenario, with delays of detection and late directors."""
    changes = sorted(
        (event for event in scenario.events if not event.move.of_director), key=scenario.noticed_s
    )  # sorted() keeps the order of equals
    tables = [_first_table(scenario)]
    for event in changes:
        tables.append(_changed(tables[-1], event))
    changed_s = [scenario.noticed_s(event) for event in changes]
    borders = _borders(scenario, changed_s)
    epochs = [_epoch(scenario, changed_s, begin, end) for begin, end in pairwise(borders)]
    return Timeline(tuple(tables), tuple(epochs))


def _first_table(scenario: Scenario) -> Backends:
    return tuple(
        Backend(_FIRST_ADDRESS + number, State.ACTIVE if number < scenario.backends else State.INACTIVE)
        for number in range(scenario.most_backends)
    )


def _changed(table: Backends, event: ScenarioEvent) -> Backends:
    number = event.number - 1
    if event.move in LEADS_TO:
        backend = replace(table[number], state=LEADS_TO[event.move])
    else:
        backend = replace(table[number], healthy=event.move is EventKind.BACKEND_RECOVER)
    return (*table[:number], backend, *table[number + 1 :])


def _borders(scenario: Scenario, changed_s: Sequence[float]) -> list[float]:
    """All times of changes and of their detection, with the run's start and end.

    The time before the start, when connections begin as well, is part of the first epoch.
    """
    times = {event.at_s for event in scenario.events}
    times |= {scenario.noticed_s(event) for event in scenario.events}
    times |= {changed + late for changed in changed_s for _, late in scenario.late}
    return [float("-inf"), *sorted(time for time in times if time < scenario.duration_s), scenario.duration_s]


def _epoch(scenario: Scenario, changed_s: Sequence[float], begin: float, end: float) -> Epoch:
    late = {number - 1: by for number, by in scenario.late}
    versions = tuple(
        sum(changed + late.get(director, 0.0) <= begin for changed in changed_s)
        for director in range(scenario.most_directors)
    )
    routed = _directors(scenario, begin, scenario.noticed_s)
    return Epoch(
        begin_s=begin,
        end_s=end,
        routed=tuple(sorted(routed)),
        running=_directors(scenario, begin, lambda event: event.at_s),
        versions=versions,
        newest=sum(changed <= begin for changed in changed_s),
        failed=_failed(scenario, begin),
    )


def _directors(scenario: Scenario, time_s: float, when: Callable[[ScenarioEvent], float]) -> frozenset[int]:
    there = set(range(scenario.directors))
    for event in scenario.events:
        if event.move.of_director and when(event) <= time_s:
            (there.add if event.move is EventKind.DIRECTOR_ADD else there.discard)(event.number - 1)
    return frozenset(there)


def _failed(scenario: Scenario, time_s: float) -> frozenset[int]:
    failed: set[int] = set()
    for event in scenario.events:
        if event.at_s <= time_s:
            if event.move is EventKind.BACKEND_FAIL:
                failed.add(event.number - 1)
            if event.move is EventKind.BACKEND_RECOVER:
                failed.discard(event.number - 1)
    return frozenset(failed)
