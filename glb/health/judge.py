# SPDX-License-Identifier: MIT
"""From the health of a table's checks, and what was set from outside, to the health of its backends. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from glb.config.model import Address, State
from glb.health.hold import Hold, hold
from glb.health.plan import Probe, TablePlan
from glb.health.verdict import ProbeHealth, Verdict, verdict
from glb.health.view import Source


@dataclass(frozen=True, slots=True)
class Order:
    """A backend's health as set from outside, whatever its checks say. `since` is in seconds since 1970."""

    healthy: bool
    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """A backend's health, why, and by whom."""

    healthy: bool
    reason: str
    source: Source


def judge(
    table: TablePlan,
    probes: Mapping[Probe, ProbeHealth],
    orders: Mapping[Address, Order],
    before: Hold | None,
    judged: float,
) -> tuple[dict[Address, Judgement], Hold | None]:
    """The health of each backend that is not inactive, and whether the table's health is held.

    judged: when that was decided last, in seconds since 1970.
    """
    verdicts = {
        backend.address: verdict([(probe, probes[probe]) for probe in backend.probes])
        for backend in table.backends
        if backend.probes
    }
    believed = {address: said for address, said in verdicts.items() if address not in orders}
    held = hold(believed, table.hold_share, table.window, before, judged)
    kept_up = held.up if held is not None else frozenset()
    return dict(_judgements(table, verdicts, orders, kept_up)), held


def _judgements(
    table: TablePlan, verdicts: Mapping[Address, Verdict], orders: Mapping[Address, Order], kept_up: frozenset[Address]
) -> Iterator[tuple[Address, Judgement]]:
    for backend in table.backends:
        address = backend.address
        order, said = orders.get(address), verdicts.get(address)
        if backend.state is State.INACTIVE:
            continue
        if order is not None:
            yield address, Judgement(order.healthy, order.reason, Source.SET)
        elif said is None:
            yield address, Judgement(backend.healthy, "not checked: the file's word", Source.FILE)
        elif not said.up and address in kept_up:
            yield address, Judgement(True, said.reason, Source.HELD)
        else:
            yield address, Judgement(said.up, said.reason, Source.CHECKS)
