"""The daemon's duties about health: the checks go on, the tables follow them, and the file remembers them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from glb.daemon.lifecycle import Actions
from glb.daemon.report import HeldBackend
from glb.director.controller import Controller
from glb.director.sources import Follow
from glb.health.errors import HealthError
from glb.health.ledger import Ledger
from glb.health.memory import save
from glb.health.monitor import Monitor
from glb.waiting import wait_for_any

log = logging.getLogger(__name__)

_BETWEEN_REPORTS = 0.25
_BETWEEN_SAVES = 1.0  # seconds: where backends come and go, the file is not written for each of them


def follower(monitor: Monitor) -> Follow:
    """What has the monitor follow tables, for the worker's thread: it waits until their health is known."""
    loop = asyncio.get_running_loop()
    return lambda editions, source: asyncio.run_coroutine_threadsafe(monitor.follow(editions, source), loop).result()


async def apply_health(monitor: Monitor, actions: Actions[Controller], stop: asyncio.Event) -> None:
    """Have the worker take over each change."""
    async for _ in _whenever(monitor.changed, stop):
        actions.put_nowait(lambda controller: controller.set_health(monitor.view))


async def report_held(monitor: Monitor, actions: Actions[Controller], stop: asyncio.Event) -> None:
    """Have the worker report what is kept up against its checks, whenever that has changed."""
    reported: object = ((), ())
    while not stop.is_set():
        held = tuple(HeldBackend(table, str(address), why) for table, address, why in monitor.ledger.held())
        cut_off = tuple(sorted(monitor.ledger.cut_off()))
        if (held, cut_off) != reported:
            reported = (held, cut_off)
            actions.put_nowait(partial(Controller.note_held, held=held, cut_off=cut_off))
        await wait_for_any(stop, seconds=_BETWEEN_REPORTS)


class Keeper:
    """Keeps the file by which health outlives the daemon."""

    def __init__(self, monitor: Monitor, path: Path) -> None:
        self.monitor = monitor
        self._path = path
        self._turn = asyncio.Lock()

    async def save(self) -> None:
        """Write down all that is known now. If that cannot be done, it is told in the log, and the checks go on."""
        async with self._turn:
            try:
                await asyncio.to_thread(_save, self._path, self.monitor.ledger.copy())
            except HealthError as error:
                log.error("health: not remembered, the checks go on: %s", error)


async def remember_health(keeper: Keeper, stop: asyncio.Event) -> None:
    """Keep the file up to date, to the end."""
    async for _ in _whenever(keeper.monitor.unsaved, stop):
        await keeper.save()
        await wait_for_any(stop, seconds=_BETWEEN_SAVES)


def _save(path: Path, ledger: Ledger) -> None:
    save(path, ledger.memory())


async def _whenever(event: asyncio.Event, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yields each time the event is set, and clears it, until stop is set and nothing is left to do."""
    while event.is_set() or not stop.is_set():
        await wait_for_any(event, stop)
        if event.is_set():
            event.clear()
            yield
