"""`glbctl proxy run`: attach, serve, detach."""

import asyncio
from pathlib import Path

from glb.daemon.lifecycle import Actions, live
from glb.metrics.exporter import serve_metrics
from glb.network.next_hops import changes
from glb.proxy.agent import serve_agent
from glb.proxy.proxy import Proxy

_LOOK_AROUND_SECONDS = 0.5


async def run(interface: str, config: Path | None, keep: bool) -> None:
    """Decapsulate on the interface until SIGTERM or SIGINT; reload at SIGHUP; follow the network; answer
    those who ask how many connections are left.

    Raises what Proxy raises, before anything is attached.
    """
    started: list[Proxy] = []

    def start() -> Proxy:
        started.append(Proxy(interface, config))
        return started[0]

    async def measure(actions: Actions[Proxy], stop: asyncio.Event) -> None:
        await serve_metrics(actions, lambda: started[0].settings.metrics, (interface,), stop)

    await live("proxy", (interface,), keep, start, (_watch_network, measure, serve_agent))


async def _watch_network(actions: Actions[Proxy], stop: asyncio.Event) -> None:
    """And look often: packets that wait for a way to be known go a longer one meanwhile."""
    async for _ in changes(stop, _LOOK_AROUND_SECONDS):
        actions.put_nowait(Proxy.look_around)
