"""`glbctl director run`: attach, serve, reload, detach."""

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from watchfiles import awatch

from glb.daemon.lifecycle import on_signal, stop_event, tell_ready, tell_stopping, work_off
from glb.director.director import Director
from glb.director.sources import Sources
from glb.network.next_hops import changes

log = logging.getLogger(__name__)

_LOOK_MS = 1000
_LOOK_AROUND_SECONDS = 5.0

Actions: TypeAlias = "asyncio.Queue[Callable[[Director], None]]"


async def run(interface: str, config: Path, table: Path, keep: bool) -> None:
    """Serve until SIGTERM or SIGINT. With keep, the datapath stays attached afterwards.

    Raises what Director raises, before anything is attached. Should this process fail later, the datapath stays as
    well: traffic must not suffer for it.
    """
    stop = stop_event()
    actions: Actions = asyncio.Queue()
    on_signal(lambda: actions.put_nowait(Director.reload), signal.SIGHUP)  # from now on: unheard, it would end us
    sources = Sources(config, table)
    director = await asyncio.to_thread(Director, interface, sources)
    try:
        tell_ready(f"attached to {interface}")
        log.info("%s: director ready", interface)
        await _follow(director, sources, actions, stop)
    except BaseException:
        await asyncio.to_thread(director.leave)
        raise
    tell_stopping()
    await asyncio.to_thread(director.leave if keep else director.detach)
    log.info("%s: %s", interface, "stopped; the datapath stays attached" if keep else "detached")


async def _follow(director: Director, sources: Sources, actions: Actions, stop: asyncio.Event) -> None:
    """Do what is asked for, reload whenever one of the files changes, and follow the network, until stop is set."""
    async with asyncio.TaskGroup() as duties:
        duties.create_task(_watch(sources, lambda: actions.put_nowait(Director.reload_if_changed), stop))
        duties.create_task(_watch_network(lambda: actions.put_nowait(Director.look_around), stop))
        worker = duties.create_task(work_off(director, actions))
        await stop.wait()
        worker.cancel()


async def _watch(sources: Sources, changed: Callable[[], None], stop: asyncio.Event) -> None:
    """Call `changed` whenever one of the files has changed, until stop is set.

    And each second, for what goes unseen: a change before the watch has begun, or in a folder that was moved in.
    """
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
        changed()


async def _watch_network(changed: Callable[[], None], stop: asyncio.Event) -> None:
    """Call `changed` whenever the host's links, routes or neighbours have changed, and from time to time: neighbours
    that are not asked for are forgotten."""
    async for _ in changes(stop, _LOOK_AROUND_SECONDS):
        changed()
