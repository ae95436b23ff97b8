# SPDX-License-Identifier: MIT
"""The health of all backends, kept over reloads; each change of it is logged with its reason."""

import copy
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from glb.config.model import Address, State
from glb.errors import HealthError
from glb.health.check_plan import Check, CheckPlan, PlannedCheck, TableChecks
from glb.health.check_state import NOT_CHECKED, CheckHealth, CheckState
from glb.health.judge import Hold, Judgement, Override, judge
from glb.health.view import BackendHealth, HealthSource, HealthView

log = logging.getLogger(__name__)

HISTORY = 64
"""The number of changes that are kept for each backend."""

_MAX_REASONS = 8
"""The number of reasons that are logged while a backend stays down or held. The backend's server words some of them."""

BackendKey = tuple[str, Address]
"""A table's name and one of its backends."""


@dataclass(frozen=True, slots=True)
class HealthChange:
    """A change of a backend's health, its time in seconds since 1970, and the reason."""

    when: float
    healthy: bool
    reason: str
    source: HealthSource


@dataclass(frozen=True, slots=True)
class SavedState:
    """What is kept across restarts. `checks` is by `Check.key`."""

    checks: Mapping[str, CheckHealth] = field(default_factory=dict)
    backends: Mapping[BackendKey, BackendHealth] = field(default_factory=dict)
    history: Mapping[BackendKey, tuple[HealthChange, ...]] = field(default_factory=dict)
    overrides: Mapping[BackendKey, Override] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)


class HealthState:
    """The state of all checks, and the health that follows from it. Not thread-safe."""

    def __init__(self, saved: SavedState, clock: Callable[[], float] = time.time) -> None:
        self.plan = CheckPlan()
        self.checks: dict[PlannedCheck, CheckHealth] = {}
        self._tables: Mapping[PlannedCheck, tuple[TableChecks, ...]] = {}
        self._saved_checks = saved.checks
        self._backends: dict[str, dict[Address, BackendHealth]] = {}
        for (table, address), health in saved.backends.items():
            self._backends.setdefault(table, {})[address] = health
        self._history = dict(saved.history)
        self._overrides = dict(saved.overrides)
        self._holds = dict(saved.holds)
        self._clock = clock
        self._judged: dict[str, float] = {}  # when each table was judged last
        self._began = clock()
        self._unsettled: dict[str, TableChecks] = {}
        self._joined: set[BackendKey] = set()  # added by a plan after the first
        self._reasons: dict[BackendKey, set[str]] = {}  # logged since the backend's last change

    def follow(self, plan: CheckPlan) -> None:
        """Replace the plan. State of checks and backends in both plans is kept; call `settle` to judge the tables."""
        by_check = {planned.check: health for planned, health in self.checks.items()}
        if self.plan.tables:
            self._joined |= _keys(plan) - _keys(self.plan)
        self.plan = plan
        self._tables = plan.tables_by_check()
        self.checks = {planned: self.checks.get(planned) or self._begin(planned, by_check) for planned in self._tables}
        self._saved_checks = {}
        self._forget_unlisted()
        self._unsettled = {table.name: table for table in plan.tables}

    def update(self, planned: PlannedCheck, health: CheckHealth) -> bool:
        """Record the new health of a check. Returns whether tables have to be judged again, by `settle`."""
        known = self.checks[planned]
        self.checks[planned] = health
        if _judged_by(known) == _judged_by(health):
            return False
        self._unsettled |= {table.name: table for table in self._tables[planned]}
        return True

    def settle(self) -> bool:
        """Judge the tables whose checks have changed. Returns whether the health of a backend has changed."""
        tables, self._unsettled = self._unsettled, {}
        return self._judge(tables.values())

    def set(self, table: str, address: Address, healthy: bool | None, reason: str) -> None:
        """Set an override for a backend; None removes it.

        Raises HealthError if there is no such backend.
        """
        plan = self.table(table, address)
        if healthy is None:
            self._overrides.pop((table, address), None)
        else:
            self._overrides[table, address] = Override(healthy, reason, self._clock())
        self._judge([plan])

    def table(self, table: str, address: Address) -> TableChecks:
        """The table of this name that lists this backend. Raises HealthError, which lists the known names."""
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
        """The tables on hold of which this director reaches no backend: each backend that is up is kept up."""
        return frozenset(table for table in self._holds if _is_cut_off(self._backends.get(table, {}).values()))

    def held(self) -> tuple[tuple[str, Address, str], ...]:
        """The backends that a hold keeps up: table, address and the reason of their failure, in this order."""
        return tuple(
            (table, address, health.reason)
            for table in sorted(self._holds)
            for address, health in sorted(self._backends.get(table, {}).items(), key=lambda pair: int(pair[0]))
            if health.source is HealthSource.HELD
        )

    def copy(self) -> "HealthState":
        """A snapshot for another thread, which later changes do not affect."""
        other = copy.copy(self)
        other.checks = dict(self.checks)
        other._backends = {table: dict(backends) for table, backends in self._backends.items()}
        other._history = dict(self._history)
        other._overrides = dict(self._overrides)
        other._holds = dict(self._holds)
        return other

    def saved(self) -> SavedState:
        """The part to keep across restarts."""
        known = {planned.check.key: health for planned, health in self.checks.items()}
        checks = {key: health for key, health in {**self._saved_checks, **known}.items() if health.state.checked}
        backends = {
            (table, address): health for table, known in self._backends.items() for address, health in known.items()
        }
        return SavedState(checks, backends, dict(self._history), dict(self._overrides), dict(self._holds))

    def _begin(self, planned: PlannedCheck, known: Mapping[Check, CheckHealth]) -> CheckHealth:
        """The health of a check that is new in the plan: as by its earlier policy, or as before a restart.

        Failures are counted from 0 again. Passes of a check that is down still count: `found` is the latest of them.
        """
        before = known.get(planned.check)
        if before is None and self._saved_checks:
            before = self._saved_checks.get(planned.check.key)
        if before is None or not before.state.checked:
            return CheckHealth(CheckState.unchecked(planned.policy))
        passes = 0 if before.state.up else before.state.against
        return CheckHealth(CheckState(before.state.up, against=passes), before.found, before.fell)

    def _forget_unlisted(self) -> None:
        """Remove what is kept of tables and backends that the plan does not list."""
        listed = _keys(self.plan)
        self._joined &= listed
        self._reasons = {key: reasons for key, reasons in self._reasons.items() if key in listed}
        self._history = {key: changes for key, changes in self._history.items() if key in listed}
        self._overrides = {key: override for key, override in self._overrides.items() if key in listed}
        names = {table.name for table in self.plan.tables}
        self._holds = {name: hold for name, hold in self._holds.items() if name in names}
        self._judged = {name: when for name, when in self._judged.items() if name in names}
        self._backends = {
            table.name: _of_serving(table, self._backends.get(table.name, {})) for table in self.plan.tables
        }

    def _judge(self, tables: Iterable[TableChecks]) -> bool:
        changed = [self._judge_table(table) for table in tables]
        return any(changed)

    def _judge_table(self, table: TableChecks) -> bool:
        before = self._holds.get(table.name)
        overrides = {address: override for (name, address), override in self._overrides.items() if name == table.name}
        last = self._judged.get(table.name, self._began)
        self._judged[table.name] = self._clock()
        judged, held = judge(table, self.checks, overrides, before, last)
        self._note_hold(table, before, held)
        changed = [self._note(table.name, address, judgement) for address, judgement in judged.items()]
        return any(changed)

    def _note_hold(self, table: TableChecks, before: Hold | None, held: Hold | None) -> None:
        if held is None:
            self._holds.pop(table.name, None)
            if before is not None:
                log.warning("%s: hold ended: health follows the checks again", table.name)
            return
        self._holds[table.name] = held
        if before is None:
            log.error(
                "%s: more than %d %% of the checked backends fail; assuming a fault on this director, newly failed "
                "backends stay up (hold_share)",
                table.name,
                round(100 * table.hold_share),
            )

    def _note(self, table: str, address: Address, judged: Judgement) -> bool:
        """Record a backend's health. Returns whether it has changed."""
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
        if known is None and (judged.source is HealthSource.FILE or judged.reason == NOT_CHECKED):
            return True
        change = HealthChange(now, judged.healthy, judged.reason, judged.source)
        self._history[table, address] = (*self._history.get((table, address), ()), change)[-HISTORY:]
        self._reasons[table, address] = {judged.reason}
        level = _level(judged, is_quiet=is_first and (table, address) not in self._joined)
        log.log(level, "%s: %s is %s: %s", table, address, describe(judged.healthy, judged.source), judged.reason)
        return not same

    def _note_reason(self, table: str, address: Address, judged: Judgement) -> None:
        """Log the reason of a backend that stays down or held, unless this reason was logged."""
        logged = self._reasons.setdefault((table, address), {judged.reason})
        is_fault = judged.source is HealthSource.HELD or not judged.healthy
        if is_fault and judged.reason not in logged and len(logged) < _MAX_REASONS:
            logged.add(judged.reason)
            word = describe(judged.healthy, judged.source)
            log.warning("%s: %s stays %s, for another reason: %s", table, address, word, judged.reason)


def _keys(plan: CheckPlan) -> set[BackendKey]:
    return {(table.name, backend.address) for table in plan.tables for backend in table.backends}


def _is_cut_off(backends: Collection[BackendHealth]) -> bool:
    up = {backend.source for backend in backends if backend.healthy}
    return up == {HealthSource.HELD}


def describe(healthy: bool, source: HealthSource) -> str:
    """Such as "down", or "up (held)" if the health does not come from the checks."""
    word = "up" if healthy else "down"
    return word if source is HealthSource.CHECKS else f"{word} ({source})"


def _level(judged: Judgement, is_quiet: bool) -> int:
    """The log level of a change. At a start, backends that are up are not worth a line each."""
    if not judged.healthy or judged.source is HealthSource.HELD:
        return logging.WARNING
    return logging.DEBUG if is_quiet else logging.INFO


_PASSES = "passes"


def _judged_by(health: CheckHealth) -> tuple[bool, bool, str]:
    """What `judge` uses of a check: a change of anything else does not need it."""
    state = health.state
    return state.up, state.checked, "" if state.up else _PASSES if state.against else health.found


def _of_serving(table: TableChecks, known: Mapping[Address, BackendHealth]) -> dict[Address, BackendHealth]:
    serving = (backend.address for backend in table.backends if backend.state is not State.INACTIVE)
    return {address: known[address] for address in serving if address in known}
