# SPDX-License-Identifier: MIT
"""The daemon's duties about health: the checks go on, the tables follow them, and the file remembers them."""

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
_BETWEEN_SAVES = 1.0  # seconds: where backends come and go, the file is not written for each of them
_LAST_SAVE_SECONDS = 2.0


def follower(monitor: Monitor) -> Follow:
    """What has the monitor follow tables, for another thread than the event loop's."""
    loop = asyncio.get_running_loop()
    return lambda *wanted: asyncio.run_coroutine_threadsafe(monitor.follow(*wanted), loop).result()


async def apply_health(monitor: Monitor, traffic: Worker[Forwarding], stop: asyncio.Event) -> None:
    """Have each change taken over."""
    async for _ in _whenever(monitor.changed, stop):
        traffic.post_once("change of health", Forwarding.apply_health)


async def report_doubts(monitor: Monitor, traffic: Worker[Forwarding], stop: asyncio.Event) -> None:
    """Report what is kept up against its checks, and why checks cannot be made, whenever that has changed."""
    reported: Mapping[str, object] = {"held": (), "cut_off": (), "checks_trouble": None}
    while not stop.is_set():
        state = monitor.state
        doubts = {
            "held": tuple(HeldBackend(table, str(address), why) for table, address, why in state.held()),
            "cut_off": tuple(sorted(state.cut_off())),
            "checks_trouble": monitor.local_fault,
        }
        if doubts != reported:
            reported = doubts
            traffic.lane.post("report", partial(traffic.service.note, **doubts))
        await wait_for_any(stop, seconds=_BETWEEN_REPORTS)


class HealthFile:
    """Keeps the file by which health outlives the daemon."""

    def __init__(self, monitor: Monitor, path: Path, lane: Lane) -> None:
        """lane: where the file is written, and nothing else is done."""
        self.monitor = monitor
        self._path = path
        self._lane = lane

    async def save(self) -> None:
        """Write down all that is known now. If that cannot be done, it is logged, and the checks go on."""
        state = self.monitor.state.copy()
        try:
            await self._lane.run("health file", lambda: save(self._path, state.saved()))
        except HealthError as error:
            log.error("health: not remembered, the checks go on: %s", error)


async def remember_health(health_file: HealthFile, stop: asyncio.Event) -> None:
    """Keep the file up to date, to the end."""
    async for _ in _whenever(health_file.monitor.unsaved, stop):
        await unless(stop, health_file.save())
        await wait_for_any(stop, seconds=_BETWEEN_SAVES)
    with suppress(TimeoutError):  # the disk hangs
        await asyncio.wait_for(health_file.save(), _LAST_SAVE_SECONDS)


async def _whenever(event: asyncio.Event, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yields each time the event is set, and clears it, until stop is set and nothing is left to do."""
    while event.is_set() or not stop.is_set():
        await wait_for_any(event, stop)
        if event.is_set():
            event.clear()
            yield
