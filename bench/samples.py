# SPDX-License-Identifier: MIT
"""Measurements that are taken in rounds, each of everything, so that a slow moment of the machine meets all alike."""

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """How a quantity is distributed over the rounds. The quartiles hold half of them."""

    median: float
    min: float
    max: float
    low_quartile: float
    high_quartile: float

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


def spread(values: Sequence[float]) -> Spread:
    ordered = sorted(values)
    low, _, high = statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    return Spread(statistics.median(ordered), ordered[0], ordered[-1], low, high)


def in_rounds(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Take each measure once a round, in another order every time. The lists are by round."""
    order = random.Random(1)
    names = list(measures)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            taken[name].append(measures[name]())
    return taken


def differences(values: Sequence[float], floor: Sequence[float]) -> list[float]:
    """Round by round."""
    return [value - base for value, base in zip(values, floor, strict=True)]


def ratio(values: Sequence[float], base: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(value / below for value, below in zip(values, base, strict=True) if below > 0)
