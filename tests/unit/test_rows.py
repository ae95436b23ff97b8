# SPDX-License-Identifier: MIT
"""The rows of a table, compared with the rules worked out one row at a time."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random

import pytest

from glb.config.model import Backend, State
from glb.errors import TableError
from glb.hashing.ranking import Ranking
from glb.hashing.rendezvous import ROWS, Candidate
from glb.table.model import NO_HOP
from glb.table.rows import build_rows
from tests.unit import reference
from tests.unit.reference import Entry

SEED = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
STATES = [str(state) for state in State]

Address = IPv4Address | IPv6Address


def ipv4(number: int) -> Address:
    return ip_address(0x0A000001 + number)


def ipv6(number: int) -> Address:
    return ip_address((0x20010DB8 << 96) + number)


def mixed(number: int) -> Address:
    return (ipv4, ipv6)[number % 2](number)


def all_active(count: int, address: Callable[[int], Address] = ipv4) -> list[Entry]:
    return [(address(i), "active", True) for i in range(count)]


def every_state_and_health(count: int, address: Callable[[int], Address] = ipv4) -> list[Entry]:
    return [(address(i), STATES[i % 4], i // 4 % 2 == 0) for i in range(count)]


def backends(entries: list[Entry]) -> list[Backend]:
    return [Backend(address, State(state), healthy) for address, state, healthy in entries]


def sample(count: int) -> list[int]:
    """Some rows: both ends, and others in between."""
    return [0, 1, 4095, 4096, ROWS - 1, *Random(count).sample(range(ROWS), 1200 // count)]


def assert_rows_are(entries: list[Entry], depth: int, row_of: Callable[[int], list[int]]) -> None:
    rows = build_rows(backends(entries), SEED, depth)

    assert rows.shape == (ROWS, depth)
    for row in sample(len(entries)):
        hops = row_of(row)
        assert rows[row].tolist() == hops + [NO_HOP] * (depth - len(hops)), f"row {row}"


@pytest.mark.parametrize("address", [ipv4, ipv6, mixed])
@pytest.mark.parametrize("count", [2, 3, 40])
def test_addresses_rank_as_rendezvous_hashing_ranks_them(count: int, address: Callable[[int], Address]) -> None:
    entries = all_active(count, address)

    members = Ranking.of([Candidate(entry[0].packed) for entry in entries], SEED, wanted=count).members()

    for row in sample(count):
        assert members[:, row].tolist() == reference.ranking(entries, SEED, row)


@pytest.mark.parametrize("entries", [all_active, every_state_and_health])
@pytest.mark.parametrize("address", [ipv4, ipv6])
@pytest.mark.parametrize("count", [1, 2, 3, 8, 40])
def test_a_table_of_two_hops_is_githubs_to_the_letter(
    count: int, address: Callable[[int], Address], entries: Callable[..., list[Entry]]
) -> None:
    table = entries(count, address)

    assert_rows_are(table, 2, lambda row: reference.github_row(table, SEED, row))


@pytest.mark.parametrize("entries", [all_active, every_state_and_health])
@pytest.mark.parametrize(("count", "depth"), [(2, 3), (3, 3), (8, 3), (8, 8), (40, 3), (40, 5), (40, 8)])
def test_deeper_table_puts_available_backends_first(
    count: int, depth: int, entries: Callable[..., list[Entry]]
) -> None:
    table = entries(count)

    assert_rows_are(table, depth, lambda row: reference.deep_row(table, SEED, row, depth))


def test_256_backends_are_ranked_as_few_are() -> None:
    table = every_state_and_health(256, mixed)

    assert_rows_are(table, 2, lambda row: reference.github_row(table, SEED, row))
    assert_rows_are(table, 3, lambda row: reference.deep_row(table, SEED, row, 3))


PAIR_RULES = [
    # primary's state and health, secondary's state and health, do they swap?
    ("active", True, "active", True, False),
    ("filling", True, "active", True, False),
    ("draining", True, "active", True, True),
    ("active", False, "active", True, True),
    ("filling", False, "active", True, True),
    ("draining", False, "active", True, True),
    ("draining", True, "active", False, True),
    ("draining", True, "filling", True, False),
    ("active", False, "filling", True, False),
    ("draining", True, "draining", True, False),
]


@pytest.mark.parametrize(("state", "healthy", "second_state", "second_healthy", "swap"), PAIR_RULES)
def test_primary_is_swapped_only_with_an_active_secondary(
    state: str, healthy: bool, second_state: str, second_healthy: bool, swap: bool
) -> None:
    first = reference.ranking(all_active(2), SEED, 0)[0]
    table = [Backend(ipv4(i)) for i in range(2)]
    table[first] = Backend(ipv4(first), State(state), healthy)
    table[1 - first] = Backend(ipv4(1 - first), State(second_state), second_healthy)

    row = build_rows(table, SEED, 2)[0].tolist()

    assert row == ([1 - first, first] if swap else [first, 1 - first])


@pytest.mark.parametrize("depth", range(3, 9))
@pytest.mark.parametrize(("state", "healthy"), [("draining", True), ("active", False)])
def test_a_backend_that_drains_or_fails_stays_in_all_of_its_rows(depth: int, state: str, healthy: bool) -> None:
    before = build_rows(backends(all_active(12)), SEED, depth)
    table = all_active(12)
    table[5] = (table[5][0], state, healthy)

    after = build_rows(backends(table), SEED, depth)

    assert ((before == 5).any(axis=1) == (after == 5).any(axis=1)).all()
    assert not (after[:, 0] == 5).any()


@pytest.mark.parametrize("depth", range(3, 9))
def test_dead_hop_comes_after_draining_ones(depth: int) -> None:
    table = all_active(12)
    table[3] = (table[3][0], "active", False)
    table[5] = (table[5][0], "draining", True)

    rows = build_rows(backends(table), SEED, depth)

    both = (rows == 3).any(axis=1) & (rows == 5).any(axis=1)
    assert both.any()
    assert ((rows == 3).argmax(axis=1) > (rows == 5).argmax(axis=1))[both].all()


def test_only_available_backend_is_first_in_all_rows() -> None:
    table = [(address, state, i == 7) for i, (address, state, _) in enumerate(all_active(12))]

    rows = build_rows(backends(table), SEED, 3)

    assert (rows[:, 0] == 7).all()


def test_when_all_are_down_the_rows_are_as_when_all_are_up() -> None:
    down = [(address, state, False) for address, state, _ in all_active(12)]

    assert (build_rows(backends(down), SEED, 3) == build_rows(backends(all_active(12)), SEED, 3)).all()


def test_rows_without_a_backend_are_refused() -> None:
    with pytest.raises(TableError, match="at least one backend that is not inactive"):
        build_rows([Backend(ipv4(0), State.INACTIVE)], SEED, 3)


@pytest.mark.parametrize("depth", [1, 9])
def test_a_depth_out_of_range_is_refused(depth: int) -> None:
    with pytest.raises(TableError, match=f"depth {depth} cannot be built; depths are 2 to 8"):
        build_rows([Backend(ipv4(0))], SEED, depth)
