# SPDX-License-Identifier: MIT
"""Asking all backends again and again, each check in its own time."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from glb.config.model import Address, ForwardingTables
from glb.health.asker import Asker
from glb.health.check import checks_of
from glb.health.damping import pause
from glb.health.ledger import Ledger, Memory
from glb.health.plan import Probe, plan
from glb.health.pulse import Pulse
from glb.health.result import TIMEOUT, Result, failure
from glb.health.verdict import ProbeHealth
from glb.health.view import HealthView

log = logging.getLogger(__name__)

_AT_ONCE = 512  # checks that run at the same time; more of them would wait for each other, and take that for a timeout
_FIRST_RESULT_SECONDS = 1.0
_SECONDS_PER_CHECK = 0.001
"""That first results are waited for: thousands of checks take a while to be made."""
_SETTLE_SECONDS = 0.005  # in which changes are gathered: a host that fails has many checks, and many tables


@dataclass(slots=True, eq=False)
class _Life:
    """One probe's: its next check is scheduled, or runs."""

    probe: Probe
    due: float | None = None
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None

    def end(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()


class Monitor:
    """The checks of a daemon. All but `view` belongs to the event loop's thread.

    `changed` is set when a backend's health has become another one, `unsaved` when there is something new to remember;
    whoever waits for them clears them.
    """

    def __init__(self, memory: Memory) -> None:
        self.ledger = Ledger(memory)
        self.view = HealthView()
        """The health that is in force; a new one after each change, so that other threads may read it."""
        self.changed = asyncio.Event()
        self.unsaved = asyncio.Event()
        self.late = 0.0
        """Seconds that the check which began last was behind its time: if more than a few ms, it is too many checks."""
        self.not_counted = 0
        """Checks that could not be made, or whose answers this process was too busy to take in time."""
        self.own_want: str | None = None
        """What this host lacks or forbids, for which checks cannot be made just now."""
        self._counted_in_a_row = 0
        self._pulse = Pulse()
        self._asker: Asker | None = None
        self._lives: dict[Probe, _Life] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._settling = False

    async def follow(
        self, editions: Sequence[ForwardingTables], source: IPv4Address, mtu: int | None = None
    ) -> HealthView:
        """Check what these tables ask for, from the director's address `source`; go on with what is the same.

        editions: as `plan` takes them. mtu: as Asker has it. Returns once each check has a result, be it one from
        before; or after a bounded time, when backends without one are as their policy's `initial` says. Checks that
        cannot be made here are logged, and left out.
        """
        self._pulse.begin()
        asker = await self._asker_at(source)
        asker.mtu = mtu
        why_not = await asker.get_ready(any(map(_needs_tunnel, editions)))
        wanted = await asyncio.to_thread(plan, editions, why_not)  # of thousands of backends it takes a while
        for problem in sorted(wanted.impossible() - self.ledger.plan.impossible()):
            log.error("health: not checked: %s", problem)
        self.ledger.follow(wanted)
        for probe in self._lives.keys() - self.ledger.probes.keys():
            self._lives.pop(probe).end()
        for probe in self.ledger.probes.keys() - self._lives.keys():
            self._lives[probe] = life = _Life(probe)
            self._begin(life)
        await self._first_results()
        self.ledger.settle()
        self._publish()
        return self.view

    def set(self, table: str, address: Address, healthy: bool | None, reason: str) -> None:
        """As `Ledger.set`."""
        self.ledger.set(table, address, healthy, reason)
        self._publish()

    async def close(self) -> None:
        """Ask no more, and remove what the checks needed of the system."""
        self._pulse.end()
        for life in self._lives.values():
            life.end()
        self._lives.clear()
        if self._asker is not None:
            await self._asker.close()

    async def _asker_at(self, source: IPv4Address) -> Asker:
        if self._asker is None or self._asker.source != source:
            before, self._asker = self._asker, Asker(source)
            if before is not None:
                await before.close()
        return self._asker

    async def _first_results(self) -> None:
        unchecked = [
            life.task
            for probe, life in self._lives.items()
            if life.task is not None and not self.ledger.probes[probe].damped.checked
        ]
        if unchecked:
            bound = _FIRST_RESULT_SECONDS + _SECONDS_PER_CHECK * len(unchecked)
            await asyncio.wait(unchecked, timeout=bound)

    def _begin(self, life: _Life) -> None:
        life.task = asyncio.create_task(self._check(life))

    async def _check(self, life: _Life) -> None:
        loop = asyncio.get_running_loop()
        async with self._room:
            begun, behind = loop.time(), self._pulse.behind
            self.late = begun - life.due if life.due is not None else 0.0
            result = await self._result(life.probe)
        if result.found == TIMEOUT and self._pulse.behind - behind > life.probe.policy.timeout_ms / 2000:
            result = replace(result, counts=False)  # most of the time went by without a look at the answers
        if result.counts:
            wait = self._take(life.probe, result)
            self._note_own_want(None)
        else:
            self.not_counted += 1
            wait = life.probe.policy.interval_ms / 1000
            self._note_own_want(None if result.found == TIMEOUT else f"{life.probe.check.label}: {result.found}")
        if life.due is None:
            wait *= random.random()  # so that checks which have begun together do not go on in step
        life.due = max(begun + wait, loop.time())
        life.timer = loop.call_at(life.due, self._begin, life)

    async def _result(self, probe: Probe) -> Result:
        assert self._asker is not None
        began = time.monotonic()
        result = await self._answer(self._asker, probe)
        if result.passed or not result.counts:
            return result
        return await self._asker.why_lost(probe.check, began) or result

    async def _answer(self, asker: Asker, probe: Probe) -> Result:
        try:
            async with asyncio.timeout(probe.policy.timeout_ms / 1000):
                return await asker.ask(probe.check)
        except TimeoutError:
            return Result(False, TIMEOUT)
        except Exception as error:  # a check that goes wrong here must not end all others
            log.exception("health: %s of %s went wrong in glb itself", probe.check.label, probe.check.address)
            return replace(failure(error), counts=False)

    def _note_own_want(self, want: str | None) -> None:
        """Log what keeps checks from being made, once for as long as it lasts."""
        if want is not None:
            self._counted_in_a_row = 0
            if self.own_want is None:
                log.error("health: checks cannot be made, and are not counted: %s", want)
            self.own_want = want
        elif self.own_want is not None:
            self._counted_in_a_row += 1
            if self._counted_in_a_row > len(self._lives):
                log.warning("health: all checks can be made again, after: %s", self.own_want)
                self.own_want = None

    def _take(self, probe: Probe, result: Result) -> float:
        """Note the result; returns the seconds from the check's begin to the next one's."""
        known = self.ledger.probes[probe]
        damped = known.damped.after(result.passed, probe.policy)
        fell = None if damped.up else self.ledger.now() if known.damped.up else known.fell
        if self.ledger.take(probe, ProbeHealth(damped, result.found, fell)):
            self._settle_soon()
        return pause(damped, probe.policy, random.uniform(-1, 1))

    def _settle_soon(self) -> None:
        if not self._settling:
            self._settling = True
            asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._settle)

    def _settle(self) -> None:
        self._settling = False
        if self.ledger.settle():
            self._publish()
        self.unsaved.set()

    def _publish(self) -> None:
        self.view = self.ledger.view()
        self.changed.set()
        self.unsaved.set()


def _needs_tunnel(tables: ForwardingTables) -> bool:
    return any(
        check.vip is not None
        for table in tables.tables
        for backend in table.backends
        for check in checks_of(table, backend)
    )
