# SPDX-License-Identifier: MIT
"""`glbctl director run`: attach, serve, reload, detach."""

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from glb.control.access import Access
from glb.control.server import ControlSocket, serve
from glb.daemon.descriptors import watch_descriptors
from glb.daemon.lane import Lane, Worker
from glb.daemon.lifecycle import Ending, Lanes, run_service
from glb.daemon.report import socket_path
from glb.director.announcer import Announcer
from glb.director.api import create_api
from glb.director.controller import Controller
from glb.director.forwarding import Forwarding
from glb.director.health_duties import HealthFile, apply_health, follower, report_faults, save_health
from glb.director.path_mtu import learn_path_mtus
from glb.director.sources import Sources
from glb.director.state_claim import claimed_state_dir
from glb.health.monitor import Monitor
from glb.health.saved_state import load
from glb.metrics.exporter import serve_metrics
from glb.metrics.statsd import send_to_statsd
from glb.network.changes import changes
from glb.network.path_mtu import path_mtus
from glb.paths import state_dir
from glb.waiting import wait_for_any

_POLL_SECONDS = 0.25
_RETRY_SECONDS = 1.0
_BUSY_SECONDS = 5.0
"""The status reports a load that takes longer."""
_SWITCH_SECONDS = 0.0005  # with Python's 5 ms, building rows delays each step of a check
_REFRESH_SECONDS = 5.0


async def run(interfaces: Sequence[str], config: Path, table: Path, keep: bool, access: Access) -> None:
    """Run a director until SIGTERM or SIGINT: reload at SIGHUP or SIGUSR1 and when a file changes, follow health
    and the network, and serve the control socket within `access`.

    Raises the errors of Controller, and LockError if the state directory is in use by others, before a program is
    attached.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    sources = Sources(config, table, tuple(interfaces))
    ending = Ending(keep)
    announcer = Announcer(interfaces, lambda: ending.keep)
    health_file = state_dir() / f"{interfaces[0]}.health.json"
    monitor = Monitor(await asyncio.to_thread(load, health_file))
    saved_health = HealthFile(monitor, health_file, Lane("health file"))
    plans = Lane("plans")
    follow = follower(monitor)
    mtus = path_mtus()
    listening: list[ControlSocket] = []

    def start(lanes: Lanes) -> Controller:
        """Opens the control socket after the interfaces are locked, and before the daemon reports that it is ready."""
        controller = Controller(interfaces, sources, socket_path(interfaces[0]), follow, monitor, lanes, mtus)
        try:
            listening.append(ControlSocket(socket_path(interfaces[0]), access))
        except BaseException:
            controller.give_up()
            raise
        return controller

    async def answer(controller: Controller, lanes: Lanes, stop: asyncio.Event) -> None:
        workers = Worker(lanes.loads, controller), Worker(plans, controller)
        await serve(create_api(*workers, announcer, saved_health, interfaces), listening.pop(), stop)

    async def announce(controller: Controller, lanes: Lanes, stop: asyncio.Event) -> None:
        await announcer.duty(_traffic(controller, lanes), stop)

    async def measure(controller: Controller, lanes: Lanes, stop: asyncio.Event) -> None:
        worker = _traffic(controller, lanes)
        await serve_metrics(worker, lambda: controller.loaded.config.metrics, interfaces, stop)

    async def measure_for_statsd(controller: Controller, _: Lanes, stop: asyncio.Event) -> None:
        await send_to_statsd(lambda: controller.loaded.config.statsd_port, interfaces, stop)

    async def watch_limit(_: Controller, __: Lanes, stop: asyncio.Event) -> None:
        await watch_descriptors(lambda: len(monitor.state.checks), stop)

    async def follow_health(controller: Controller, lanes: Lanes, stop: asyncio.Event) -> None:
        await apply_health(monitor, _traffic(controller, lanes), stop)

    async def follow_faults(controller: Controller, lanes: Lanes, stop: asyncio.Event) -> None:
        await report_faults(monitor, _traffic(controller, lanes), stop)

    async def keep_health(_: Controller, __: Lanes, stop: asyncio.Event) -> None:
        await save_health(saved_health, stop)

    async def learn_mtus(controller: Controller, lanes: Lanes, stop: asyncio.Event) -> None:
        await learn_path_mtus(mtus, lambda: controller.loaded, _traffic(controller, lanes), stop)

    duties = (
        _follow_files,
        _follow_network,
        learn_mtus,
        _report_long_loads,
        answer,
        announce,
        follow_health,
        follow_faults,
        keep_health,
        watch_limit,
        measure,
        measure_for_statsd,
    )
    try:
        with claimed_state_dir():
            await run_service("director", interfaces, (config, table), ending, start, duties)
    finally:
        await monitor.close()


def _traffic(controller: Controller, lanes: Lanes) -> Worker[Forwarding]:
    return Worker(lanes.traffic, controller.forwarding)


async def _follow_files(controller: Controller, lanes: Lanes, stop: asyncio.Event) -> None:
    """Polls the files: inotify has limits that other users exhaust, and does not see changes made by another host."""
    loads = Worker(lanes.loads, controller)
    retry_at = time.monotonic() + _RETRY_SECONDS
    while not stop.is_set():
        loads.post_once("check for changed files", Controller.reload_if_changed)
        if time.monotonic() >= retry_at:
            loads.post_once("retry of refused tables", Controller.retry)
            retry_at = time.monotonic() + _RETRY_SECONDS
        await wait_for_any(stop, seconds=_POLL_SECONDS)


async def _follow_network(controller: Controller, lanes: Lanes, stop: asyncio.Event) -> None:
    """Refresh at changes of the network, and periodically: the kernel drops neighbours that are not used."""
    traffic = _traffic(controller, lanes)
    async for _ in changes(stop, _REFRESH_SECONDS, lambda: controller.forwarding.refresh_seconds):
        traffic.post_once("refresh of the network", Forwarding.refresh)


async def _report_long_loads(controller: Controller, lanes: Lanes, stop: asyncio.Event) -> None:
    """Report in the status a load that takes long, such as of files on a host that does not respond."""
    reported: str | None = None
    while not stop.is_set():
        running = lanes.loads.running
        seconds = time.monotonic() - running.since if running else 0.0
        busy = None
        if running is not None and seconds > _BUSY_SECONDS:
            since = datetime.now(UTC) - timedelta(seconds=seconds)
            busy = f"{running.what}, since {since.isoformat(timespec='seconds')}"
        if busy is None or reported is None:
            if busy != reported:
                lanes.traffic.post("report", partial(controller.forwarding.note, busy=busy))
            reported = busy
        await wait_for_any(stop, seconds=1.0)
