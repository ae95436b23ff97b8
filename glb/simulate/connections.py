# SPDX-License-Identifier: MIT
"""The connections of a run: begin and end of each, and the hashes that spread it."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from glb.hashing.rendezvous import ROWS
from glb.simulate.model import Distribution, Lifetime, Scenario

Seconds = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint32]
Indices = npt.NDArray[np.intp]

WARM_UP = 5
"""Mean lifetimes before the start at which connections begin, so that connections of all ages are open at the start."""


@dataclass(frozen=True, slots=True, eq=False)
class Connections:
    """Arrays with one entry per connection, sorted by `begin_s`.

    `spread` is the router's hash, `row` the row of a glb table, `choice` the hash of other balancers. They are
    independent, as hashes with different keys.
    """

    begin_s: Seconds
    end_s: Seconds
    spread: Hashes
    row: Hashes
    choice: Hashes

    def __len__(self) -> int:
        return len(self.begin_s)

    def begun_in(self, begin_s: float, end_s: float) -> Indices:
        """Those that begin in an interval, its end excluded."""
        first, last = np.searchsorted(self.begin_s, (begin_s, end_s))
        return np.arange(first, last)

    def open_at(self, time_s: float) -> Indices:
        """Those that begin before a time and end after it."""
        begun = np.searchsorted(self.begin_s, time_s)
        return np.flatnonzero(self.end_s[:begun] > time_s)


def count_of(scenario: Scenario) -> int:
    """The number of connections of a run, those that begin before its start included."""
    return round(scenario.arrivals_per_s * (WARM_UP * scenario.lifetime.mean_s + scenario.duration_s))


def scaled(scenario: Scenario, count: int) -> Scenario:
    """The scenario with the arrival rate that results in this number of connections."""
    return replace(scenario, arrivals_per_s=scenario.arrivals_per_s * count / count_of(scenario))


def draw(scenario: Scenario, random: np.random.Generator) -> Connections:
    """Draw a run's connections, arriving at random (Poisson, given their number)."""
    count = count_of(scenario)
    begin = np.sort(random.uniform(-WARM_UP * scenario.lifetime.mean_s, scenario.duration_s, count))
    spread, choice = (random.integers(0, 1 << 32, count, np.uint32) for _ in range(2))
    row = random.integers(0, ROWS, count, np.uint32)
    return Connections(begin, begin + _lifetimes(scenario.lifetime, count, random), spread, row, choice)


def _lifetimes(lifetime: Lifetime, count: int, random: np.random.Generator) -> Seconds:
    match lifetime.distribution:
        case Distribution.FIXED:
            return np.full(count, lifetime.mean_s)
        case Distribution.EXPONENTIAL:
            return random.exponential(lifetime.mean_s, count)
        case Distribution.PARETO:
            shortest = lifetime.mean_s * (lifetime.shape - 1) / lifetime.shape
            return shortest * (1 + random.pareto(lifetime.shape, count))
