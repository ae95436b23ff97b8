# SPDX-License-Identifier: MIT
"""Makes the checks of all backends continuously, each at its own interval."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from glb.config.model import Address, ForwardingTables
from glb.health.check_plan import PlannedCheck, checks_of, plan_checks
from glb.health.check_state import CheckHealth, pause
from glb.health.checker import Checker
from glb.health.loop_lag import LoopLag
from glb.health.result import TIMEOUT, Result, failure
from glb.health.state import HealthState, SavedState
from glb.health.view import HealthView

log = logging.getLogger(__name__)

_MAX_CONCURRENT = 512  # with more checks at once, each waits for the others, which looks like a timeout
_FIRST_RESULT_SECONDS = 1.0
_SECONDS_PER_CHECK = 0.001
"""How long to wait for first results: a fixed time, and a share for each check, since thousands take a while."""
_SETTLE_SECONDS = 0.005  # collects changes before tables are judged: a host that fails has many checks and tables


@dataclass(slots=True, eq=False)
class _Schedule:
    """The timer of a check's next run, and the task of the present one."""

    planned: PlannedCheck
    due: float | None = None
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()


class Monitor:
    """The checks of a daemon. Everything except `view` belongs to the event loop's thread.

    `changed` is set when the health of a backend has changed, `unsaved` when there is a change to save; the task that
    waits for such an event clears it.
    """

    def __init__(self, saved: SavedState) -> None:
        self.state = HealthState(saved)
        self.view = HealthView()
        """The present health. It is replaced at each change, never modified, so other threads may read it."""
        self.changed = asyncio.Event()
        self.unsaved = asyncio.Event()
        self.late = 0.0
        """Seconds by which the latest check started late. More than a few milliseconds: too many checks."""
        self.not_counted = 0
        """Checks that this host could not make, or whose answers this process read too late."""
        self.local_fault: str | None = None
        """What this host lacks or forbids, so that checks cannot be made at present."""
        self._counted_in_a_row = 0
        self._loop_lag = LoopLag()
        self._checker: Checker | None = None
        self._schedules: dict[PlannedCheck, _Schedule] = {}
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        self._settling = False

    async def follow(
        self, editions: Sequence[ForwardingTables], source: IPv4Address, mtu: int | None = None
    ) -> HealthView:
        """Make the checks of these tables from the director's address `source`; checks already in the plan continue.

        editions: as in `plan_checks`. mtu: as in Checker. Returns when each check has a result, which may be an earlier
        one, or after a bounded time; backends without a result then have the health that their policy's `initial` sets.
        Checks that cannot be made on this host are logged and left out.
        """
        self._loop_lag.start()
        checker = await self._checker_at(source)
        checker.mtu = mtu
        why_not = await checker.prepare(any(map(_needs_tunnel, editions)))
        plan = await asyncio.to_thread(plan_checks, editions, why_not)  # takes long for thousands of backends
        for problem in sorted(plan.impossible() - self.state.plan.impossible()):
            log.error("health: not checked: %s", problem)
        self.state.follow(plan)
        for planned in self._schedules.keys() - self.state.checks.keys():
            self._schedules.pop(planned).cancel()
        for planned in self.state.checks.keys() - self._schedules.keys():
            self._schedules[planned] = schedule = _Schedule(planned)
            self._begin(schedule)
        await self._first_results()
        self.state.settle()
        self._publish()
        return self.view

    def set(self, table: str, address: Address, healthy: bool | None, reason: str) -> None:
        """As `HealthState.set`."""
        self.state.set(table, address, healthy, reason)
        self._publish()

    async def close(self) -> None:
        """End all checks, and remove the tunnel device and its rules from the system."""
        self._loop_lag.stop()
        for schedule in self._schedules.values():
            schedule.cancel()
        self._schedules.clear()
        if self._checker is not None:
            await self._checker.close()

    async def _checker_at(self, source: IPv4Address) -> Checker:
        if self._checker is None or self._checker.source != source:
            before, self._checker = self._checker, Checker(source)
            if before is not None:
                await before.close()
        return self._checker

    async def _first_results(self) -> None:
        unchecked = [
            schedule.task
            for planned, schedule in self._schedules.items()
            if schedule.task is not None and not self.state.checks[planned].state.checked
        ]
        if unchecked:
            bound = _FIRST_RESULT_SECONDS + _SECONDS_PER_CHECK * len(unchecked)
            await asyncio.wait(unchecked, timeout=bound)

    def _begin(self, schedule: _Schedule) -> None:
        schedule.task = asyncio.create_task(self._run(schedule))

    async def _run(self, schedule: _Schedule) -> None:
        loop = asyncio.get_running_loop()
        planned = schedule.planned
        async with self._slots:
            begun, behind = loop.time(), self._loop_lag.behind
            self.late = begun - schedule.due if schedule.due is not None else 0.0
            result = await self._result(planned)
        if result.found == TIMEOUT and self._loop_lag.behind - behind > planned.policy.timeout_ms / 2000:
            result = replace(result, counts=False)  # for most of the time this process did not read answers
        if result.counts:
            wait = self._record(planned, result)
            self._note_local_fault(None)
        else:
            self.not_counted += 1
            wait = planned.policy.interval_ms / 1000
            self._note_local_fault(None if result.found == TIMEOUT else f"{planned.check.label}: {result.found}")
        if schedule.due is None:
            wait *= random.random()  # spreads checks that were started together
        schedule.due = max(begun + wait, loop.time())
        schedule.timer = loop.call_at(schedule.due, self._begin, schedule)

    async def _result(self, planned: PlannedCheck) -> Result:
        assert self._checker is not None
        began = time.monotonic()
        result = await self._answer(self._checker, planned)
        if result.passed or not result.counts:
            return result
        return await self._checker.why_lost(planned.check, began) or result

    async def _answer(self, checker: Checker, planned: PlannedCheck) -> Result:
        try:
            async with asyncio.timeout(planned.policy.timeout_ms / 1000):
                return await checker.run(planned.check)
        except TimeoutError:
            return Result(False, TIMEOUT)
        except Exception as error:  # a bug in one check must not end all others
            log.exception("health: %s of %s failed unexpectedly", planned.check.label, planned.check.address)
            return replace(failure(error), counts=False)

    def _note_local_fault(self, fault: str | None) -> None:
        """Log why checks cannot be made: once, until they can be made again."""
        if fault is not None:
            self._counted_in_a_row = 0
            if self.local_fault is None:
                log.error("health: checks cannot be made, and are not counted: %s", fault)
            self.local_fault = fault
        elif self.local_fault is not None:
            self._counted_in_a_row += 1
            if self._counted_in_a_row > len(self._schedules):
                log.warning("health: all checks can be made again, after: %s", self.local_fault)
                self.local_fault = None

    def _record(self, planned: PlannedCheck, result: Result) -> float:
        """Record a result. Returns the seconds from the start of this check to the start of the next."""
        known = self.state.checks[planned]
        state = known.state.after(result.passed, planned.policy)
        fell = None if state.up else self.state.now() if known.state.up else known.fell
        if self.state.update(planned, CheckHealth(state, result.found, fell)):
            self._settle_soon()
        return pause(state, planned.policy, random.uniform(-1, 1))

    def _settle_soon(self) -> None:
        if not self._settling:
            self._settling = True
            asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._settle)

    def _settle(self) -> None:
        self._settling = False
        if self.state.settle():
            self._publish()
        self.unsaved.set()

    def _publish(self) -> None:
        self.view = self.state.view()
        self.changed.set()
        self.unsaved.set()


def _needs_tunnel(tables: ForwardingTables) -> bool:
    return any(
        check.vip is not None
        for table in tables.tables
        for backend in table.backends
        for check in checks_of(table, backend)
    )
