# SPDX-License-Identifier: MIT
"""How long something took, each time that it was done, kept as Prometheus' histograms count it."""

from bisect import bisect_left
from dataclasses import dataclass

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Durations:
    """counts: how many took no longer than each of BOUNDS, but longer than the one before; the last: longer than all.
    total: seconds, of all together."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total: float = 0.0

    def with_one(self, seconds: float) -> "Durations":
        """These, and one more."""
        place = bisect_left(BOUNDS, seconds)
        counts = tuple(count + (number == place) for number, count in enumerate(self.counts))
        return Durations(counts, round(self.total + seconds, 6))


NONE_YET = Durations()
