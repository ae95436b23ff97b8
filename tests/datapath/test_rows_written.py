# SPDX-License-Identifier: MIT
"""Rows that a generation holds already are not written again, and what it holds is right all the same."""

from collections.abc import Callable
from typing import Any

import numpy as np

from glb.datapath.layout import Layout, RowBlock

from .conftest import DirectorBench, load_files, table

A, B, C = (
    [{"ip": f"10.0.{name}.{n}", "state": "active", "healthy": True} for n in (1, 2, 3, 4, 5)] for name in (1, 2, 3)
)


def two(first: dict[str, Any], second: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tables with a bind each."""
    return tuple(  # type: ignore[return-value]
        table(f"t{port}", binds=[{"ip": "203.0.113.10", "proto": "tcp", "port": port}], **changes)
        for port, changes in ((80, first), (81, second))
    )


# Each is written after the one before, so into the generation of the one before that.
STEPS = [
    two({"backends": A}, {"backends": B}),
    two({"backends": A}, {"backends": C}),
    two({"backends": A}, {"backends": B}),
    two({"backends": B}, {"backends": A}),
    two({"backends": A, "depth": 5}, {"backends": B}),  # two slots a row: the second table moves on
    two({"backends": C, "depth": 2}, {"backends": C, "depth": 2}),
    two({"backends": A}, {"backends": B}),
]


def held_rows(bench: DirectorBench) -> np.ndarray:
    """What the generation in use holds of its layout's slots."""
    state = bench.program.view("state")[0]
    start = int(state["generation"]) * bench.datapath.capacity.slots
    return np.array(bench.program.view("rows")["backend"][start : start + bench.loaded.layout.num_slots])


def held_backends(bench: DirectorBench) -> bytes:
    """What the generation in use holds of its layout's backends."""
    state = bench.program.view("state")[0]
    entries = state["backends"].view(state["backend"].dtype)
    start = int(state["generation"]) * bench.datapath.capacity.backends
    return bytes(entries[start : start + len(bench.loaded.layout.backends)].tobytes())


def written(layout: Layout) -> np.ndarray:
    slots = np.zeros((layout.num_slots, 4), np.uint16)
    for block in layout.blocks:
        block.fill(slots[block.first_slot : block.first_slot + block.num_slots])
    return slots


def test_each_generation_holds_the_rows_of_its_layout(
    director: Callable[..., DirectorBench], tmp_path: Any, monkeypatch: Any
) -> None:
    bench = director(*STEPS[0])
    filled: list[str] = []
    fill = RowBlock.fill
    monkeypatch.setattr(RowBlock, "fill", lambda block, slots: (filled.append(block.digest), fill(block, slots)))
    writes = []
    for step in (*STEPS, *STEPS):
        filled.clear()
        bench.write(load_files(tmp_path, *step))
        writes.append(len(filled))
        monkeypatch.undo()
        assert (held_rows(bench) == written(bench.loaded.layout)).all()
        monkeypatch.setattr(RowBlock, "fill", lambda block, slots: (filled.append(block.digest), fill(block, slots)))

    assert 0 in writes[2:4], "the rows of two writes ago are there"
    assert max(writes) == 2


def test_next_change_does_not_write_rows_copied_ahead(
    director: Callable[..., DirectorBench], tmp_path: Any, monkeypatch: Any
) -> None:
    bench = director(*STEPS[0])
    steps = 0
    while bench.datapath.copy_ahead(1):
        steps += 1
    filled: list[str] = []
    fill = RowBlock.fill
    monkeypatch.setattr(RowBlock, "fill", lambda block, slots: (filled.append(block.digest), fill(block, slots)))

    bench.write(load_files(tmp_path, *STEPS[1]))

    assert (steps, len(filled)) == (1, 1), "two tables are copied one by one; then one of them changes"
    assert (held_rows(bench) == written(bench.loaded.layout)).all()


def test_backends_are_right_whatever_was_written_before(director: Callable[..., DirectorBench], tmp_path: Any) -> None:
    expected = []
    for step in STEPS[:4]:
        expected.append(held_backends(director(*step)))
    bench = director(*STEPS[0])
    for step in (0, 0, 1, 1, 0, 2, 3, 3, 0):
        bench.write(load_files(tmp_path, *STEPS[step]))
        assert without_counters(held_backends(bench)) == without_counters(expected[step])


def without_counters(entries: bytes) -> list[bytes]:
    """Without the last word of each: which counter a backend has depends on what was there before."""
    return [entries[at : at + 28] for at in range(0, len(entries), 32)]


def test_a_change_of_health_writes_no_backend(
    director: Callable[..., DirectorBench], tmp_path: Any, monkeypatch: Any
) -> None:
    down = two({"backends": [A[0] | {"healthy": False}, *A[1:]]}, {"backends": B})
    bench = director(*STEPS[0])
    bench.write(load_files(tmp_path, *down))
    before = held_backends(bench)
    monkeypatch.setattr("glb.datapath.director.ethernet_word", None)  # a backend that is written needs it

    for step in (STEPS[0], down):
        bench.write(load_files(tmp_path, *step))
        assert held_backends(bench) == before
        assert (held_rows(bench) == written(bench.loaded.layout)).all()
