# SPDX-License-Identifier: MIT
"""`glbctl proxy run`: attach, serve, detach."""

import asyncio
import logging
from pathlib import Path

from glb.control.access import Access
from glb.control.server import ControlSocket, serve
from glb.daemon.lane import Worker
from glb.daemon.lifecycle import Ending, Lanes, run_service
from glb.daemon.report import socket_path
from glb.errors import ControlError
from glb.metrics.exporter import serve_metrics
from glb.network.changes import changes
from glb.proxy.agent import serve_agent
from glb.proxy.agent_api import create_control_api
from glb.proxy.proxy import Proxy
from glb.waiting import wait_for_any

log = logging.getLogger(__name__)

_REFRESH_SECONDS = 5.0
_NEW_HOPS_SECONDS = 0.5


async def run(interface: str, config: Path, keep: bool, access: Access) -> None:
    """Run a proxy on the interface until SIGTERM or SIGINT: decapsulate, follow the network, reload at SIGHUP or
    SIGUSR1, and serve the agent, and the control socket within `access`.

    Raises the errors of Proxy, before a program is attached.
    """
    listening: list[ControlSocket] = []

    def start(lanes: Lanes) -> Proxy:
        proxy = Proxy(interface, config, lanes)
        try:
            listening.append(ControlSocket(socket_path(interface), access))
        except ControlError as error:  # packets do not depend on it
            log.error("%s: no control socket: %s", interface, error)
        return proxy

    async def measure(proxy: Proxy, lanes: Lanes, stop: asyncio.Event) -> None:
        await serve_metrics(Worker(lanes.traffic, proxy), lambda: proxy.settings.metrics, (interface,), stop)

    async def answer(proxy: Proxy, lanes: Lanes, stop: asyncio.Event) -> None:
        await serve_agent(Worker(lanes.traffic, proxy), stop)

    async def answer_here(_: Proxy, __: Lanes, stop: asyncio.Event) -> None:
        if listening:
            await serve(create_control_api(interface), listening.pop(), stop)

    duties = (_follow_network, _follow_hops, measure, answer, answer_here)
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
