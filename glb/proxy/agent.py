# SPDX-License-Identifier: MIT
"""The proxy's agent: it reports the number of connections to the directors' hosts."""

import asyncio

from glb.control.connection_limits import ConnectionLimits
from glb.control.tcp_server import TcpServer
from glb.daemon.lane import Worker
from glb.proxy.agent_api import AgentSettings, create_api
from glb.proxy.proxy import Proxy

_LIMITS = ConnectionLimits(line_bytes=1 << 17)  # the first line lists all binds of a table


async def serve_agent(traffic: Worker[Proxy], stop: asyncio.Event) -> None:
    """Serve until stop is set, and follow changes of the configuration and of the interface's addresses."""

    async def wanted() -> AgentSettings | None:
        return await traffic.run("agent", Proxy.agent_settings)

    async def note(places: tuple[str, ...], trouble: str | None) -> None:
        await traffic.run("report", lambda proxy: proxy.note_agent(places, trouble))

    agent = TcpServer(
        "the agent", create_api, lambda settings: settings.places, lambda settings: settings.sources, _LIMITS
    )
    await agent.serve(wanted, note, stop)
