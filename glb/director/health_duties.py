# SPDX-License-Identifier: MIT
"""The daemon's duties for health: apply it to the tables, report holds and faults, save it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from glb.daemon.lane import Lane, Worker
from glb.daemon.report import HeldBackend
from glb.director.forwarding import Forwarding
from glb.director.sources import Follow
from glb.errors import HealthError
from glb.health.monitor import Monitor
from glb.health.saved_state import save
from glb.waiting import unless, wait_for_any

log = logging.getLogger(__name__)

_BETWEEN_REPORTS = 0.25
_BETWEEN_SAVES = 1.0  # seconds: limits writes while many backends change
_LAST_SAVE_SECONDS = 2.0


def follower(monitor: Monitor) -> Follow:
    """Returns a function that calls `Monitor.follow` from a thread other than the event loop's."""
    loop = asyncio.get_running_loop()
    return lambda *wanted: asyncio.run_coroutine_threadsafe(monitor.follow(*wanted), loop).result()


async def apply_health(monitor: Monitor, traffic: Worker[Forwarding], stop: asyncio.Event) -> None:
    """Apply each change of health to the tables."""
    async for _ in _whenever(monitor.changed, stop):
        traffic.post_once("change of health", Forwarding.apply_health)


async def report_faults(monitor: Monitor, traffic: Worker[Forwarding], stop: asyncio.Event) -> None:
    """Report backends on hold, tables that are cut off, and why checks cannot be made, at each change."""
    reported: Mapping[str, object] = {"held": (), "cut_off": (), "checks_trouble": None}
    while not stop.is_set():
        state = monitor.state
        faults = {
            "held": tuple(HeldBackend(table, str(address), why) for table, address, why in state.held()),
            "cut_off": tuple(sorted(state.cut_off())),
            "checks_trouble": monitor.local_fault,
        }
        if faults != reported:
            reported = faults
            traffic.lane.post("report", partial(traffic.service.note, **faults))
        await wait_for_any(stop, seconds=_BETWEEN_REPORTS)


class HealthFile:
    """The file that keeps health across restarts."""

    def __init__(self, monitor: Monitor, path: Path, lane: Lane) -> None:
        """lane: writes the file, and does nothing else."""
        self.monitor = monitor
        self._path = path
        self._lane = lane

    async def save(self) -> None:
        """Save the present state. A failure is only logged."""
        state = self.monitor.state.copy()
        try:
            await self._lane.run("health file", lambda: save(self._path, state.saved()))
        except HealthError as error:
            log.error("health: not saved: %s", error)


async def save_health(health_file: HealthFile, stop: asyncio.Event) -> None:
    """Save the state after changes, and at the end."""
    async for _ in _whenever(health_file.monitor.unsaved, stop):
        await unless(stop, health_file.save())
        await wait_for_any(stop, seconds=_BETWEEN_SAVES)
    with suppress(TimeoutError):  # the disk does not respond
        await asyncio.wait_for(health_file.save(), _LAST_SAVE_SECONDS)


async def _whenever(event: asyncio.Event, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yields each time the event is set, and clears it, until stop is set and the event is not."""
    while event.is_set() or not stop.is_set():
        await wait_for_any(event, stop)
        if event.is_set():
            event.clear()
            yield
