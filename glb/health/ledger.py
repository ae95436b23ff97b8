# SPDX-License-Identifier: MIT
"""What is known of the backends' health, kept over reloads; and each change of it, with its reason."""

import copy
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from glb.config.model import Address, State
from glb.errors import HealthError
from glb.health.check import Check
from glb.health.damping import Damped
from glb.health.hold import Hold
from glb.health.judge import Judgement, Order, judge
from glb.health.plan import Plan, Probe, TablePlan
from glb.health.verdict import NOT_CHECKED, ProbeHealth
from glb.health.view import BackendHealth, HealthView, Source

log = logging.getLogger(__name__)

HISTORY = 64
"""Changes of a backend that are remembered."""

_REASONS = 8
"""Reasons that are logged while a backend stays down, or is held: a server chooses the words of some."""

Key = tuple[str, Address]
"""A backend of a table."""


@dataclass(frozen=True, slots=True)
class HealthChange:
    """What a backend's health became, when (seconds since 1970), and why."""

    when: float
    healthy: bool
    reason: str
    source: Source


@dataclass(frozen=True, slots=True)
class Memory:
    """All that outlives the daemon. Checks are known by their keys."""

    checks: Mapping[str, ProbeHealth] = field(default_factory=dict)
    backends: Mapping[Key, BackendHealth] = field(default_factory=dict)
    history: Mapping[Key, tuple[HealthChange, ...]] = field(default_factory=dict)
    orders: Mapping[Key, Order] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)


class Ledger:
    """Keeps the account, and judges the tables about whose checks something is new. Not for two threads at once."""

    def __init__(self, memory: Memory, clock: Callable[[], float] = time.time) -> None:
        self.plan = Plan()
        self.probes: dict[Probe, ProbeHealth] = {}
        self._tables: Mapping[Probe, tuple[TablePlan, ...]] = {}
        self._remembered = memory.checks
        self._backends: dict[str, dict[Address, BackendHealth]] = {}
        for (table, address), health in memory.backends.items():
            self._backends.setdefault(table, {})[address] = health
        self._history = dict(memory.history)
        self._orders = dict(memory.orders)
        self._holds = dict(memory.holds)
        self._clock = clock
        self._judged: dict[str, float] = {}  # when each table was judged last
        self._began = clock()
        self._unsettled: dict[str, TablePlan] = {}
        self._joined: set[Key] = set()  # came by a later plan than the first
        self._reasons: dict[Key, set[str]] = {}  # logged since the backend's last change

    def follow(self, plan: Plan) -> None:
        """Take over other tables, to be settled. What is known of them stays, and what they lack is forgotten."""
        by_check = {probe.check: health for probe, health in self.probes.items()}
        if self.plan.tables:
            self._joined |= _keys(plan) - _keys(self.plan)
        self.plan = plan
        self._tables = plan.tables_by_probe()
        self.probes = {probe: self.probes.get(probe) or self._begin(probe, by_check) for probe in self._tables}
        self._remembered = {}
        self._forget_strangers()
        self._unsettled = {table.name: table for table in plan.tables}

    def take(self, probe: Probe, health: ProbeHealth) -> bool:
        """Note what became of a probe. True if `settle` has to judge tables anew for it."""
        known = self.probes[probe]
        self.probes[probe] = health
        if _tells(known) == _tells(health):
            return False
        self._unsettled |= {table.name: table for table in self._tables[probe]}
        return True

    def settle(self) -> bool:
        """Judge what `take` has found to be unsettled. True if that has changed the health of a backend."""
        tables, self._unsettled = self._unsettled, {}
        return self._judge(tables.values())

    def set(self, table: str, address: Address, healthy: bool | None, reason: str) -> None:
        """Set a backend's health from outside; None leaves it to the checks again.

        Raises HealthError if there is no such backend.
        """
        plan = self.table(table, address)
        if healthy is None:
            self._orders.pop((table, address), None)
        else:
            self._orders[table, address] = Order(healthy, reason, self._clock())
        self._judge([plan])

    def table(self, table: str, address: Address) -> TablePlan:
        """The table with this name, which has this backend. Raises HealthError that says what there is."""
        plan = next((plan for plan in self.plan.tables if plan.name == table), None)
        if plan is None:
            raise HealthError(f'no table "{table}"; there are {", ".join(plan.name for plan in self.plan.tables)}')
        addresses = [str(backend.address) for backend in plan.backends]
        if str(address) not in addresses:
            raise HealthError(f'table "{table}" has no backend {address}; it has {", ".join(addresses)}')
        return plan

    def now(self) -> float:
        return self._clock()

    def view(self) -> HealthView:
        return HealthView({table: dict(backends) for table, backends in self._backends.items()})

    def health(self, table: str, address: Address) -> BackendHealth | None:
        """None for an inactive backend."""
        return self._backends.get(table, {}).get(address)

    def history(self, table: str, address: Address) -> tuple[HealthChange, ...]:
        """The latest changes, oldest first. Raises HealthError if there is no such backend."""
        self.table(table, address)
        return self._history.get((table, address), ())

    def hold(self, table: str) -> Hold | None:
        return self._holds.get(table)

    def cut_off(self) -> frozenset[str]:
        """The tables of which this director reaches no backend: health is held, and nothing but that keeps any up."""
        return frozenset(table for table in self._holds if _is_cut_off(self._backends.get(table, {}).values()))

    def held(self) -> tuple[tuple[str, Address, str], ...]:
        """The backends that are kept up although their checks fail: table, address, and what the checks found; in the
        order of tables and addresses."""
        return tuple(
            (table, address, health.reason)
            for table in sorted(self._holds)
            for address, health in sorted(self._backends.get(table, {}).items(), key=lambda pair: int(pair[0]))
            if health.source is Source.HELD
        )

    def copy(self) -> "Ledger":
        """The account as it is now, for a thread that takes its time: what is noted here later does not change it."""
        other = copy.copy(self)
        other.probes = dict(self.probes)
        other._backends = {table: dict(backends) for table, backends in self._backends.items()}
        other._history = dict(self._history)
        other._orders = dict(self._orders)
        other._holds = dict(self._holds)
        return other

    def memory(self) -> Memory:
        """What is to outlive the daemon."""
        known = {probe.check.key: health for probe, health in self.probes.items()}
        checks = {key: health for key, health in {**self._remembered, **known}.items() if health.damped.checked}
        backends = {
            (table, address): health for table, known in self._backends.items() for address, health in known.items()
        }
        return Memory(checks, backends, dict(self._history), dict(self._orders), dict(self._holds))

    def _begin(self, probe: Probe, known: Mapping[Check, ProbeHealth]) -> ProbeHealth:
        """A probe's health at its beginning: the same check's as it was by another policy, or before a restart."""
        before = known.get(probe.check)
        if before is None and self._remembered:
            before = self._remembered.get(probe.check.key)
        if before is None or not before.damped.checked:
            return ProbeHealth(Damped.unchecked(probe.policy))
        return ProbeHealth(Damped(before.damped.up), before.found, before.fell)

    def _forget_strangers(self) -> None:
        there = _keys(self.plan)
        self._joined &= there
        self._reasons = {key: reasons for key, reasons in self._reasons.items() if key in there}
        self._history = {key: changes for key, changes in self._history.items() if key in there}
        self._orders = {key: order for key, order in self._orders.items() if key in there}
        names = {table.name for table in self.plan.tables}
        self._holds = {name: hold for name, hold in self._holds.items() if name in names}
        self._judged = {name: when for name, when in self._judged.items() if name in names}
        self._backends = {
            table.name: _of_serving(table, self._backends.get(table.name, {})) for table in self.plan.tables
        }

    def _judge(self, tables: Iterable[TablePlan]) -> bool:
        changed = [self._judge_table(table) for table in tables]
        return any(changed)

    def _judge_table(self, table: TablePlan) -> bool:
        before = self._holds.get(table.name)
        orders = {address: order for (name, address), order in self._orders.items() if name == table.name}
        last = self._judged.get(table.name, self._began)
        self._judged[table.name] = self._clock()
        judged, held = judge(table, self.probes, orders, before, last)
        self._note_hold(table, before, held)
        changed = [self._note(table.name, address, judgement) for address, judgement in judged.items()]
        return any(changed)

    def _note_hold(self, table: TablePlan, before: Hold | None, held: Hold | None) -> None:
        if held is None:
            self._holds.pop(table.name, None)
            if before is not None:
                log.warning("%s: health is no longer held: the checks decide again", table.name)
            return
        self._holds[table.name] = held
        if before is None:
            log.error(
                "%s: more than %d %% of the checked backends fail: that is not believed, and those that have failed "
                "just now are kept up",
                table.name,
                round(100 * table.hold_share),
            )

    def _note(self, table: str, address: Address, judged: Judgement) -> bool:
        """True if the backend's health is another one than before."""
        backends = self._backends[table]
        known = backends.get(address)
        is_first = known is None or (known.reason == NOT_CHECKED and judged.reason != NOT_CHECKED)
        if known is not None and not is_first and (known.healthy, known.source) == (judged.healthy, judged.source):
            backends[address] = replace(known, reason=judged.reason)
            self._note_reason(table, address, judged)
            return False
        now = self._clock()
        same = known is not None and known.healthy == judged.healthy
        since = known.since if known is not None and same else now
        backends[address] = BackendHealth(judged.healthy, since, judged.reason, judged.source)
        if known is None and (judged.source is Source.FILE or judged.reason == NOT_CHECKED):
            return True
        change = HealthChange(now, judged.healthy, judged.reason, judged.source)
        self._history[table, address] = (*self._history.get((table, address), ()), change)[-HISTORY:]
        self._reasons[table, address] = {judged.reason}
        level = _level(judged, is_quiet=is_first and (table, address) not in self._joined)
        log.log(level, "%s: %s is %s: %s", table, address, describe(judged.healthy, judged.source), judged.reason)
        return not same

    def _note_reason(self, table: str, address: Address, judged: Judgement) -> None:
        """Log why a backend is down now, if it is for another reason than those that were logged."""
        logged = self._reasons.setdefault((table, address), {judged.reason})
        is_fault = judged.source is Source.HELD or not judged.healthy
        if is_fault and judged.reason not in logged and len(logged) < _REASONS:
            logged.add(judged.reason)
            word = describe(judged.healthy, judged.source)
            log.warning("%s: %s stays %s, for another reason: %s", table, address, word, judged.reason)


def _keys(plan: Plan) -> set[Key]:
    return {(table.name, backend.address) for table in plan.tables for backend in table.backends}


def _is_cut_off(backends: Collection[BackendHealth]) -> bool:
    up = {backend.source for backend in backends if backend.healthy}
    return up == {Source.HELD}


def describe(healthy: bool, source: Source) -> str:
    """Such as "down", or "up (held)" where it is not the checks that say so."""
    word = "up" if healthy else "down"
    return word if source is Source.CHECKS else f"{word} ({source})"


def _level(judged: Judgement, is_quiet: bool) -> int:
    """How loud a change is: that thousands of backends are found up at a start is no news."""
    if not judged.healthy or judged.source is Source.HELD:
        return logging.WARNING
    return logging.DEBUG if is_quiet else logging.INFO


_PASSES = "passes"


def _tells(health: ProbeHealth) -> tuple[bool, bool, str]:
    """What judging looks at."""
    damped = health.damped
    return damped.up, damped.checked, "" if damped.up else _PASSES if damped.against else health.found


def _of_serving(table: TablePlan, known: Mapping[Address, BackendHealth]) -> dict[Address, BackendHealth]:
    serving = (backend.address for backend in table.backends if backend.state is not State.INACTIVE)
    return {address: known[address] for address in serving if address in known}
