# SPDX-License-Identifier: MIT
"""How loaded tables differ from those before them, in one line for the log. Pure."""

from collections.abc import Iterator, Sequence

from glb.table.model import BuiltTable

_SHOWN = 8
"""State changes that are named; of more, the number is given."""


def describe_changes(before: Sequence[BuiltTable], after: Sequence[BuiltTable]) -> str:
    """Such as "web: backends +1 -0, binds +0 -0, 10.0.0.2 active -> draining"; tables that are the same are left out.

    Health is no part of it: it is not the files' to change while checks decide.
    """
    older = {table.name: table for table in before}
    newer = {table.name: table for table in after}
    parts = [f"table {name} added" for name in newer if name not in older]
    parts += [f"table {name} removed" for name in older if name not in newer]
    parts += [part for name in newer if name in older for part in _changes(older[name], newer[name])]
    return "; ".join(parts) or "no table, backend, bind or state changed"


def _changes(before: BuiltTable, after: BuiltTable) -> Iterator[str]:
    facts = [
        _count("backends", {each.address for each in before.backends}, {each.address for each in after.backends}),
        _count("binds", set(before.binds), set(after.binds)),
        *_states(before, after),
    ]
    if told := ", ".join(fact for fact in facts if fact):
        yield f"{after.name}: {told}"


def _count(what: str, before: set[object], after: set[object]) -> str:
    return f"{what} +{len(after - before)} -{len(before - after)}" if before != after else ""


def _states(before: BuiltTable, after: BuiltTable) -> list[str]:
    states = {backend.address: backend.state for backend in before.backends}
    moved = [
        f"{backend.address} {states[backend.address]} -> {backend.state}"
        for backend in after.backends
        if states.get(backend.address, backend.state) != backend.state
    ]
    rest = len(moved) - _SHOWN
    return [*moved[:_SHOWN], *([f"{rest} more states"] if rest > 0 else [])]
