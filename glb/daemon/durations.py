# SPDX-License-Identifier: MIT
"""Durations of a repeated action, counted as in a Prometheus histogram."""

from bisect import bisect_left
from dataclasses import dataclass

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, in seconds."""


@dataclass(frozen=True, slots=True)
class Durations:
    """counts: one for each bucket of BOUNDS, not cumulative; the last counts durations above all bounds. total: the sum
    in seconds."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total: float = 0.0

    def with_one(self, seconds: float) -> "Durations":
        """These and one more duration."""
        place = bisect_left(BOUNDS, seconds)
        counts = tuple(count + (number == place) for number, count in enumerate(self.counts))
        return Durations(counts, round(self.total + seconds, 6))


NONE_YET = Durations()
