# SPDX-License-Identifier: MIT
"""`glbctl proxy run`: attach, serve, detach."""

import asyncio
from pathlib import Path

from glb.daemon.lane import Worker
from glb.daemon.lifecycle import Lanes, run_service
from glb.metrics.exporter import serve_metrics
from glb.network.changes import changes
from glb.proxy.agent import serve_agent
from glb.proxy.proxy import Proxy

_REFRESH_SECONDS = 0.5


async def run(interface: str, config: Path, keep: bool) -> None:
    """Decapsulate on the interface until SIGTERM or SIGINT; reload at SIGHUP; follow the network; answer
    those who ask how many connections are left.

    Raises what Proxy raises, before anything is attached.
    """

    def start(lanes: Lanes) -> Proxy:
        return Proxy(interface, config, lanes)

    async def measure(proxy: Proxy, lanes: Lanes, stop: asyncio.Event) -> None:
        await serve_metrics(Worker(lanes.traffic, proxy), lambda: proxy.settings.metrics, (interface,), stop)

    async def answer(proxy: Proxy, lanes: Lanes, stop: asyncio.Event) -> None:
        await serve_agent(Worker(lanes.traffic, proxy), stop)

    await run_service("proxy", (interface,), (config,), keep, start, (_follow_network, measure, answer))


async def _follow_network(proxy: Proxy, lanes: Lanes, stop: asyncio.Event) -> None:
    """And refresh often: packets whose next hop is not resolved yet take a longer route meanwhile."""
    traffic = Worker(lanes.traffic, proxy)
    async for _ in changes(stop, _REFRESH_SECONDS):
        traffic.post_once("refresh of the network", Proxy.refresh)
