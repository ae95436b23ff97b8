# SPDX-License-Identifier: MIT
"""What is announced to whom, and draining the whole director."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from glb.control.routes import ApiRouter, From
from glb.director.announcer import Announcer, Drained, RoutingStatus

ANNOUNCER = web.AppKey("announcer", Announcer)

router = ApiRouter("routing", "/v1/routing")


def _announcer(request: web.Request) -> Announcer:
    return request.app[ANNOUNCER]


Routes = Annotated[Announcer, From(_announcer)]


class Drain(BaseModel):
    """How long a drain may take, in seconds."""

    timeout: float = Field(default=30, ge=0, le=3600)


@router.get("")
async def routing(routes: Routes) -> RoutingStatus:
    """What is announced, and the state of each session."""
    return routes.status


@router.post("/drain")
async def drain(wanted: Drain, routes: Routes) -> Drained:
    """Withdraw the VIPs, the graceful way. Answers when no packet comes any more, or the time is up."""
    return await routes.drain(wanted.timeout)


@router.post("/announce")
async def announce(routes: Routes) -> RoutingStatus:
    """End a drain: announce what can be served again."""
    routes.end_drain()
    return routes.status
