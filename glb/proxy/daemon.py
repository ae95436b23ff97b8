# SPDX-License-Identifier: MIT
"""`glbctl proxy run`: attach, serve, detach."""

import asyncio
from pathlib import Path

from glb.daemon.lane import Worker
from glb.daemon.lifecycle import Ending, Lanes, run_service
from glb.metrics.exporter import serve_metrics
from glb.network.changes import changes
from glb.proxy.agent import serve_agent
from glb.proxy.proxy import Proxy
from glb.waiting import wait_for_any

_REFRESH_SECONDS = 5.0
_NEW_HOPS_SECONDS = 0.5


async def run(interface: str, config: Path, keep: bool) -> None:
    """Run a proxy on the interface until SIGTERM or SIGINT: decapsulate, follow the network, reload at SIGHUP, and
    serve the agent.

    Raises the errors of Proxy, before a program is attached.
    """

    def start(lanes: Lanes) -> Proxy:
        return Proxy(interface, config, lanes)

    async def measure(proxy: Proxy, lanes: Lanes, stop: asyncio.Event) -> None:
        await serve_metrics(Worker(lanes.traffic, proxy), lambda: proxy.settings.metrics, (interface,), stop)

    async def answer(proxy: Proxy, lanes: Lanes, stop: asyncio.Event) -> None:
        await serve_agent(Worker(lanes.traffic, proxy), stop)

    duties = (_follow_network, _follow_hops, measure, answer)
    await run_service("proxy", (interface,), (config,), Ending(keep), start, duties)


async def _follow_network(proxy: Proxy, lanes: Lanes, stop: asyncio.Event) -> None:
    """Refresh at changes of the network, and regularly: what changes in other namespaces sends no notice."""
    traffic = Worker(lanes.traffic, proxy)
    async for _ in changes(stop, _REFRESH_SECONDS):
        traffic.post_once("refresh of the network", Proxy.refresh)


async def _follow_hops(proxy: Proxy, lanes: Lanes, stop: asyncio.Event) -> None:
    """Often: packets take a longer route until their next hop is resolved."""
    traffic = Worker(lanes.traffic, proxy)
    while not stop.is_set():
        traffic.post_once("resolution of new hops", Proxy.resolve_new_hops)
        await wait_for_any(stop, seconds=_NEW_HOPS_SECONDS)
