# SPDX-License-Identifier: MIT
"""Announcements, and draining the whole director."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from glb.control.routes import ApiRouter, From
from glb.director.announcer import Announcer, Drained, RoutingStatus

ANNOUNCER = web.AppKey("announcer", Announcer)

router = ApiRouter("routing", "/v1/routing")


def _announcer(request: web.Request) -> Announcer:
    return request.app[ANNOUNCER]


CurrentAnnouncer = Annotated[Announcer, From(_announcer)]


class DrainRequest(BaseModel):
    """The maximum duration of a drain, in seconds."""

    timeout: float = Field(default=30, ge=0, le=3600)


@router.get("")
async def routing(announcer: CurrentAnnouncer) -> RoutingStatus:
    """The announced prefixes, and the state of each session."""
    return announcer.status


@router.post("/drain")
async def drain(body: DrainRequest, announcer: CurrentAnnouncer) -> Drained:
    """Withdraw the VIPs gracefully. Responds when no more packets arrive, or after `timeout`."""
    return await announcer.drain(body.timeout)


@router.post("/announce")
async def announce(announcer: CurrentAnnouncer) -> RoutingStatus:
    """End a drain: announce the VIPs that can be served."""
    announcer.end_drain()
    return announcer.status
