# SPDX-License-Identifier: MIT
"""What is kept within a bound of memory, and what goes first."""

from glb.table.cost_cache import CostCache


def filled(memory: int, *entries: tuple[str, int, int]) -> CostCache[str, str]:
    """entries: key, size and cost of each, put in in this order."""
    keeper: CostCache[str, str] = CostCache(memory)
    for key, size, cost in entries:
        keeper.put(key, key.upper(), size, cost)
    return keeper


def kept(keeper: CostCache[str, str]) -> set[str]:
    return set(keeper.values())


def test_what_fits_is_kept() -> None:
    keeper = filled(30, ("a", 10, 1), ("b", 10, 9), ("c", 10, 1))

    assert kept(keeper) == {"A", "B", "C"}
    assert "b" in keeper
    assert keeper.get("b") == "B"
    assert keeper.get("d") is None


def test_of_equals_the_least_recently_used_goes() -> None:
    keeper = filled(20, ("a", 10, 1), ("b", 10, 1))
    keeper.get("a")

    keeper.put("c", "C", 10, 1)

    assert kept(keeper) == {"A", "C"}


def test_what_is_cheap_to_make_again_goes_before_what_is_costly() -> None:
    assert kept(filled(20, ("big", 10, 10_000), ("a", 10, 8), ("b", 10, 8), ("c", 10, 8))) == {"BIG", "C"}


def test_unused_expensive_value_is_removed_in_time() -> None:
    keeper = filled(20, ("once", 10, 30))
    for number in range(40):
        keeper.put(str(number), str(number), 10, 10)

    assert "once" not in keeper


def test_the_last_is_kept_however_large_it_is() -> None:
    assert kept(filled(5, ("a", 10, 1), ("b", 10, 1))) == {"B"}


def test_what_is_put_in_again_counts_once() -> None:
    assert kept(filled(20, ("a", 10, 1), ("a", 10, 1), ("b", 10, 1))) == {"A", "B"}
