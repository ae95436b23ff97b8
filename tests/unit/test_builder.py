# SPDX-License-Identifier: MIT
"""A builder that remembers builds the rows that one without a memory builds; and what any rows must hold to."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glb.config.model import Backend, State, Table
from glb.errors import TableError
from glb.hashing import ranking
from glb.table.build import build
from glb.table.builder import RowBuilder
from glb.table.model import NO_HOP, Rows
from glb.table.rows import build_rows

SEED = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")

MANY = st.integers(0, 30)

few = settings(max_examples=40, deadline=None)


def numbered(number: int) -> Backend:
    return Backend(ip_address(0x0A000001 + number))


def backends(
    numbers: st.SearchStrategy[int] = MANY,
    least: int = 1,
    weights: tuple[float, ...] = (1, 1, 1, 2, 0.3),
    zones: tuple[str | None, ...] = (None, None, "a", "b"),
) -> st.SearchStrategy[list[Backend]]:
    """Up to 14 backends in all states."""
    backend = st.builds(
        lambda number, state, healthy, weight, zone: replace(
            numbered(number), state=state, healthy=healthy, weight=weight, zone=zone
        ),
        numbers,
        st.sampled_from(State),
        st.booleans(),
        st.sampled_from(weights),
        st.sampled_from(zones),
    )
    return st.lists(backend, min_size=least, max_size=14, unique_by=lambda b: b.address).filter(
        lambda table: any(b.state is not State.INACTIVE for b in table)
    )


def addresses(table: list[Backend], rows: Rows) -> np.ndarray:
    """The rows with the lowest byte of each hop's address, 0 for none."""
    numbers = np.zeros(NO_HOP + 1, np.uint8)
    numbers[: len(table)] = [b.address.packed[-1] for b in table]
    return numbers[rows]


def number_of(backend: Backend) -> int:
    return backend.address.packed[-1]


def holds(rows: np.ndarray, backend: Backend) -> np.ndarray:
    return (rows == number_of(backend)).any(axis=1)


@few
@given(table=backends(), depth=st.integers(3, 8))
def test_available_backend_comes_first_in_every_row(table: list[Backend], depth: int) -> None:
    rows = build_rows(table, SEED, depth)

    available = np.array([b.available for b in table])
    assert available[rows[:, 0]].all() or not available.any()


@few
@given(table=backends(), depth=st.integers(2, 8))
def test_row_has_all_backends_once_if_they_are_few(table: list[Backend], depth: int) -> None:
    rows = build_rows(table, SEED, depth)

    hops = min(depth, sum(b.state is not State.INACTIVE for b in table))
    assert (rows[:, :hops] != NO_HOP).all()
    assert (rows[:, hops:] == NO_HOP).all()
    ordered = np.sort(rows[:, :hops], axis=1)
    assert (ordered[:, 1:] != ordered[:, :-1]).all()


@few
@given(table=backends(least=2), depth=st.integers(3, 8), data=st.data())
def test_drain_and_failure_keep_members_and_other_first_hops(
    table: list[Backend], depth: int, data: st.DataObject
) -> None:
    gone = data.draw(st.sets(st.sampled_from(range(len(table))), min_size=1))
    before = build_rows(table, SEED, depth)
    for i in gone:
        if table[i].state is not State.INACTIVE:
            table[i] = replace(
                table[i], state=data.draw(st.sampled_from([table[i].state, State.DRAINING])), healthy=False
            )

    after = build_rows(table, SEED, depth)

    apart = ~np.isin(before, list(gone)).any(axis=1)
    assert (before[apart] == after[apart]).all()
    others = ~np.isin(before[:, 0], list(gone))
    assert (before[others, 0] == after[others, 0]).all()
    available = np.array([b.available for b in table] + [False])
    served = available[np.minimum(after, len(table))].sum(axis=1) > 1
    assert (np.sort(before[served], axis=1) == np.sort(after[served], axis=1)).all()


@few
@given(table=backends(least=2), depth=st.integers(2, 8), data=st.data())
def test_added_or_removed_backend_changes_only_its_rows(table: list[Backend], depth: int, data: st.DataObject) -> None:
    position = data.draw(st.sampled_from(range(len(table))))
    smaller = [b for i, b in enumerate(table) if i != position]
    if all(b.state is State.INACTIVE for b in smaller):
        smaller.append(replace(numbered(99)))
        table = [*table, smaller[-1]]

    with_it, without = (addresses(t, build_rows(t, SEED, depth)) for t in (table, smaller))

    apart = ~holds(with_it, table[position])
    assert (with_it[apart] == without[apart]).all()


@few
@given(table=backends(least=2), depth=st.integers(3, 8), weight=st.sampled_from([0.1, 1, 7]))
def test_changed_weight_changes_only_rows_of_its_backend(table: list[Backend], depth: int, weight: float) -> None:
    changed = [replace(table[0], weight=weight), *table[1:]]

    before, after = build_rows(table, SEED, depth), build_rows(changed, SEED, depth)

    apart = ~(before == 0).any(axis=1) & ~(after == 0).any(axis=1)
    assert (before[apart] == after[apart]).all()


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(tables=st.lists(backends(st.integers(0, 13), least=8), min_size=2, max_size=6), depth=st.integers(2, 5))
def test_a_builder_builds_the_same_rows_whatever_it_built_before(tables: list[list[Backend]], depth: int) -> None:
    builder = RowBuilder()
    for table in tables:
        assert (builder.rows(table, SEED, depth) == build_rows(table, SEED, depth)).all()


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(table=backends(least=10), data=st.data())
@pytest.mark.parametrize(("weights", "zones"), [((1.0,), (None,)), ((1.0, 2.0), ("a", "b"))], ids=["plain", "zoned"])
def test_a_builder_builds_the_same_rows_step_by_step(
    weights: tuple[float, ...], zones: tuple[str | None, ...], table: list[Backend], data: st.DataObject
) -> None:
    builder = RowBuilder()
    table = [replace(b, weight=weights[i % len(weights)], zone=zones[i % len(zones)]) for i, b in enumerate(table)]
    for number in range(40, 46):
        match data.draw(st.sampled_from(["add", "remove", "state", "health"])):
            case "add":
                table = [replace(numbered(number), zone=zones[0]), *table]
            case "remove" if len(table) > 2:
                table = table[1:]
            case "state":
                table = [replace(table[0], state=data.draw(st.sampled_from(State))), *table[1:]]
            case _:
                table = [replace(table[-1], healthy=not table[-1].healthy), *table[:-1]]
        if any(b.state is not State.INACTIVE for b in table):
            assert (builder.rows(table, SEED, 3) == build_rows(table, SEED, 3)).all()


class Counting:
    """How many candidates are hashed in how many rows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashed: list[tuple[int, int]] = []
        lowest_keys = ranking.lowest_keys

        def counted(seeds: np.ndarray, candidates: dict, *rest: object) -> np.ndarray:  # type: ignore[type-arg]
            self.hashed.append((len(candidates), len(seeds)))
            return lowest_keys(seeds, candidates, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(ranking, "lowest_keys", counted)


@pytest.mark.parametrize(
    ("change", "hashed"),
    [
        ({"state": State.DRAINING}, []),
        ({"healthy": False}, []),
        ({"state": State.INACTIVE}, []),
        ({"address": ip_address("10.9.9.9")}, [(1, 65536)]),
    ],
)
def test_only_a_new_backend_is_hashed(
    change: dict[str, object], hashed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = RowBuilder()
    table = [numbered(i) for i in range(12)]
    builder.rows(table, SEED, 3)
    counting = Counting(monkeypatch)

    builder.rows([replace(table[0], **change), *table[1:]], SEED, 3)  # type: ignore[arg-type]

    assert counting.hashed == hashed


def test_rows_that_are_still_in_use_are_not_built_again() -> None:
    builder = RowBuilder(memory=0)
    table = [numbered(i) for i in range(4)]
    first = builder.rows(table, SEED, 3)
    builder.rows(table[:3], SEED, 3)

    assert builder.rows(list(table), SEED, 3) is first
    assert not first.flags.writeable


@pytest.mark.parametrize(("memory", "hashings"), [(0, 1), (64 << 20, 0)])
def test_builder_removes_least_recently_used_orders(
    memory: int, hashings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = RowBuilder(memory)
    table = [numbered(i) for i in range(4)]
    builder.rows(table, SEED, 3)
    builder.rows(table, bytes(16), 3)
    counting = Counting(monkeypatch)

    builder.rows(table, SEED, 3)

    assert len(counting.hashed) == hashings


def test_prepared_rows_are_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = RowBuilder()
    tables = [[numbered(i) for i in range(first, first + 5)] for first in range(3)]
    builder.prepare((table, SEED, 3) for table in [*tables, tables[0]])
    counting = Counting(monkeypatch)

    rows = [builder.rows([replace(table[0], healthy=False), *table[1:]], SEED, 3) for table in tables]

    assert counting.hashed == []
    for table, made in zip(tables, rows, strict=True):
        assert (made == build_rows([replace(table[0], healthy=False), *table[1:]], SEED, 3)).all()


def test_nothing_is_prepared_that_is_in_use_or_would_not_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = RowBuilder(memory=0)
    table = [numbered(i) for i in range(4)]
    in_use = builder.rows(table, SEED, 3)
    builder.rows(table[:3], SEED, 3)
    counting = Counting(monkeypatch)

    builder.prepare([(table, SEED, 3), (table, bytes(16), 3)])

    assert counting.hashed == []
    assert builder.rows(table, SEED, 3) is in_use


def test_prepare_leaves_errors_to_the_build() -> None:
    builder = RowBuilder()
    impossible = [replace(numbered(0), state=State.INACTIVE)]

    builder.prepare([(impossible, SEED, 3)])

    with pytest.raises(TableError, match="at least one backend that is not inactive"):
        builder.rows(impossible, SEED, 3)


def test_a_builder_refuses_what_cannot_be_built() -> None:
    with pytest.raises(TableError, match="at least one backend that is not inactive"):
        RowBuilder().rows([replace(numbered(0), state=State.INACTIVE)], SEED, 3)
    with pytest.raises(TableError, match="depth 9 cannot be built"):
        RowBuilder().rows([numbered(0)], SEED, 9)


def test_a_table_is_built_with_a_builder_or_without() -> None:
    table = Table("web", bytes(16), SEED, (), tuple(numbered(i) for i in range(5)))

    assert (build(table, RowBuilder()).rows == build(table).rows).all()


def test_two_threads_share_a_builder() -> None:
    builder = RowBuilder(memory=4 << 20)
    tables = [[numbered(i) for i in range(first, first + 6)] for first in range(8)]
    failing = [[replace(table[0], healthy=False), *table[1:]] for table in tables]

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda table: builder.rows(table, SEED, 3), [*tables, *failing] * 3))

    for table, rows in zip([*tables, *failing] * 3, made, strict=True):
        assert (rows == build_rows(table, SEED, 3)).all()


def test_health_change_does_not_wait_for_a_large_build() -> None:
    builder = RowBuilder()
    table = [numbered(i) for i in range(40)]
    builder.rows(table, SEED, 3)
    large = [numbered(i) for i in range(1200)]

    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(builder.rows, large, bytes(16), 3)
        for backend in table[:3]:
            builder.rows([replace(b, healthy=b is not backend) for b in table], SEED, 3)
        finished_first = not building.done()
        building.result()

    assert finished_first


def test_what_costs_most_to_hash_is_kept_when_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = RowBuilder(memory=3 << 20)
    large = [numbered(i) for i in range(60)]
    builder.rows(large, SEED, 3)
    for first in range(8):
        builder.rows([numbered(first), numbered(99)], SEED, 3)
    counting = Counting(monkeypatch)

    builder.rows([replace(large[0], healthy=False), *large[1:]], SEED, 3)

    assert counting.hashed == []


@pytest.mark.parametrize(("count", "depth", "bytes_each"), [(256, 3, 1), (257, 3, 2), (2, 3, 2), (3, 3, 1)])
def test_rows_take_no_more_memory_than_they_need(count: int, depth: int, bytes_each: int) -> None:
    table = [numbered(i) for i in range(count)]
    builder = RowBuilder()
    foreseen = builder.new_bytes([(table, SEED, depth), (table, SEED, depth)])

    rows = builder.rows(table, SEED, depth)

    assert rows.itemsize == bytes_each
    assert rows.nbytes == foreseen
    assert builder.new_bytes([(table, SEED, depth)]) == 0
