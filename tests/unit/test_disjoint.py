# SPDX-License-Identifier: MIT
"""Overlapping port ranges, cut into disjoint ones."""

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from glb.datapath.layout import PortRange, disjoint

PORTS = st.integers(1, 40)
RANGES = st.lists(st.tuples(PORTS, PORTS).map(sorted), max_size=12)


@given(RANGES)
def test_each_port_goes_to_the_strongest_range_that_has_it(ends: list[list[int]]) -> None:
    ranked = [PortRange(start, end, owner) for owner, (start, end) in enumerate(ends)]

    pieces = disjoint(ranked)

    owners = {port: piece.owner for piece in pieces for port in range(piece.start, piece.end + 1)}
    assert owners == {
        port: next(r.owner for r in ranked if r.start <= port <= r.end)
        for port in range(1, 41)
        if any(r.start <= port <= r.end for r in ranked)
    }
    assert all(before.end < after.start for before, after in pairwise(pieces))


def test_four_times_the_ranges_cost_about_four_times_the_work() -> None:
    def cpu_seconds(count: int) -> float:
        ranked = [PortRange(1 + 2 * i, 2 + 2 * i, i) for i in range(count)]
        start = time.process_time()
        disjoint(ranked)
        return time.process_time() - start

    tries = (cpu_seconds(8000) / cpu_seconds(2000) for _ in range(6))

    assert any(ratio < 9 for ratio in tries)  # a busy machine disturbs some tries, not all
