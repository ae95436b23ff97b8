"""What is announced to whom, and draining the whole director."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from glb.director.announcer import Announcer, Drained, RoutingStatus

router = APIRouter(prefix="/routing", tags=["routing"])


def _announcer(request: Request) -> Announcer:
    announcer: Announcer = request.app.state.announcer
    return announcer


Routes = Annotated[Announcer, Depends(_announcer)]


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
