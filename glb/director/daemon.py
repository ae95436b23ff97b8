"""`glbctl director run`: attach, serve, reload, detach."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from watchfiles import awatch

from glb.control.server import Listener, serve
from glb.daemon.descriptors import watch_descriptors
from glb.daemon.lifecycle import Actions, live
from glb.daemon.places import state_dir
from glb.daemon.report import socket_path
from glb.director.announcer import Announcer
from glb.director.api import create_api
from glb.director.controller import Controller
from glb.director.health import Keeper, apply_health, follower, remember_health, report_held
from glb.director.sources import Sources
from glb.health.memory import load
from glb.health.monitor import Monitor
from glb.metrics.exporter import serve_metrics
from glb.metrics.statsd import tell_statsd
from glb.network.next_hops import changes

_LOOK_MS = 1000
_SWITCH_SECONDS = 0.0005  # Python's 5 ms would hold up each step of a health check while the worker builds rows
_LOOK_AROUND_SECONDS = 5.0


async def run(interfaces: Sequence[str], config: Path, table: Path, keep: bool, group: str | None) -> None:
    """Serve until SIGTERM or SIGINT; reload at SIGHUP and whenever one of the files changes; follow the network; answer
    on the control socket, which root and the group's members may use.

    Raises what Controller raises, before anything is attached.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    sources = Sources(config, table)
    announcer = Announcer(interfaces, keep)
    health_file = state_dir() / f"{interfaces[0]}.health.json"
    monitor = Monitor(load(health_file))
    keeper = Keeper(monitor, health_file)
    follow = follower(monitor)

    async def watch_files(actions: Actions[Controller], stop: asyncio.Event) -> None:
        await _watch_files(sources, actions, stop)

    async def answer(actions: Actions[Controller], stop: asyncio.Event) -> None:
        await serve(create_api(actions, announcer, keeper, interfaces), listening.pop(), stop)

    async def measure(actions: Actions[Controller], stop: asyncio.Event) -> None:
        await serve_metrics(actions, lambda: started[0].loaded.config.metrics, interfaces, stop)

    async def measure_for_statsd(_: Actions[Controller], stop: asyncio.Event) -> None:
        await tell_statsd(lambda: started[0].loaded.config.statsd_port, interfaces, stop)

    async def watch_limit(_: Actions[Controller], stop: asyncio.Event) -> None:
        await watch_descriptors(lambda: len(monitor.ledger.probes), stop)

    async def follow_health(actions: Actions[Controller], stop: asyncio.Event) -> None:
        await apply_health(monitor, actions, stop)

    async def tell_held(actions: Actions[Controller], stop: asyncio.Event) -> None:
        await report_held(monitor, actions, stop)

    async def keep_health(_: Actions[Controller], stop: asyncio.Event) -> None:
        await remember_health(keeper, stop)

    listening: list[Listener] = []
    started: list[Controller] = []

    def start() -> Controller:
        """The socket listens before the daemon says that it is ready, and not before the interfaces are its own."""
        controller = Controller(interfaces, sources, socket_path(interfaces[0]), follow)
        try:
            listening.append(Listener(socket_path(interfaces[0]), group))
        except BaseException:
            controller.give_up()
            raise
        started.append(controller)
        return controller

    duties = (
        watch_files,
        _watch_network,
        answer,
        announcer.duty,
        follow_health,
        tell_held,
        keep_health,
        watch_limit,
        measure,
        measure_for_statsd,
    )
    try:
        await live("director", interfaces, keep, start, duties)
    finally:
        await monitor.close()


async def _watch_files(sources: Sources, actions: Actions[Controller], stop: asyncio.Event) -> None:
    """And look each second, for what goes unseen: a change before the watch has begun, or in a folder moved in."""
    edits = awatch(
        *sources.folders(),
        watch_filter=lambda _, path: sources.concerns(path),
        stop_event=stop,
        step=20,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        recursive=False,
    )
    async for _ in edits:
        actions.put_nowait(Controller.reload_if_changed)


async def _watch_network(actions: Actions[Controller], stop: asyncio.Event) -> None:
    """And look from time to time: neighbours that are not asked for are forgotten."""
    async for _ in changes(stop, _LOOK_AROUND_SECONDS):
        actions.put_nowait(Controller.look_around)
