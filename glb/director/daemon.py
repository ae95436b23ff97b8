"""`glbctl director run`: attach, serve, reload, detach."""

import asyncio
from pathlib import Path

from watchfiles import awatch

from glb.daemon.lifecycle import Actions, live
from glb.director.director import Director
from glb.director.sources import Sources
from glb.network.next_hops import changes

_LOOK_MS = 1000
_LOOK_AROUND_SECONDS = 5.0


async def run(interface: str, config: Path, table: Path, keep: bool) -> None:
    """Serve until SIGTERM or SIGINT; reload at SIGHUP and whenever one of the files changes; follow the network.

    Raises what Director raises, before anything is attached.
    """
    sources = Sources(config, table)

    async def watch_files(actions: Actions[Director], stop: asyncio.Event) -> None:
        await _watch_files(sources, actions, stop)

    await live("director", interface, keep, lambda: Director(interface, sources), (watch_files, _watch_network))


async def _watch_files(sources: Sources, actions: Actions[Director], stop: asyncio.Event) -> None:
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
        actions.put_nowait(Director.reload_if_changed)


async def _watch_network(actions: Actions[Director], stop: asyncio.Event) -> None:
    """And look from time to time: neighbours that are not asked for are forgotten."""
    async for _ in changes(stop, _LOOK_AROUND_SECONDS):
        actions.put_nowait(Director.look_around)
