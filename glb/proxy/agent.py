# SPDX-License-Identifier: MIT
"""The proxy's agent: it tells the directors' hosts how many connections are left here."""

import asyncio

from glb.control.seats import Limits
from glb.control.tcp_server import TcpServer
from glb.daemon.lane import Worker
from glb.proxy.api import AgentSettings, create_api
from glb.proxy.proxy import Proxy

_LIMITS = Limits(line_bytes=1 << 17)  # the many binds of a table are named in the first line


async def serve_agent(traffic: Worker[Proxy], stop: asyncio.Event) -> None:
    """Answer until stop is set, by the configuration as it is, and on the interface's addresses as they are."""

    async def wanted() -> AgentSettings | None:
        return await traffic.run("agent", Proxy.agent_settings)

    async def note(places: tuple[str, ...], trouble: str | None) -> None:
        await traffic.run("report", lambda proxy: proxy.note_agent(places, trouble))

    agent = TcpServer(
        "the agent", create_api, lambda settings: settings.places, lambda settings: settings.sources, _LIMITS
    )
    await agent.serve(wanted, note, stop)
