"""The daemon itself: what it serves, and reloading."""

from pydantic import BaseModel

from glb.control.routes import Router
from glb.daemon.report import Report
from glb.director.author import By, Peer
from glb.director.worker import Now, Worker
from glb.history.version import How, Origin

router = Router("daemon")


class Reloaded(BaseModel):
    """Whether an interface's datapath has the files as they are now."""

    interface: str
    reloaded: bool
    error: str | None


@router.get("/status")
async def status(now: Now) -> list[Report]:
    """The daemon's report of each of its interfaces."""
    return now.reports


class Reason(By):
    """Why the files are to be loaded: what a command has done to them."""

    how: How = How.EDIT


@router.post("/reload")
async def reload(worker: Worker, peer: Peer, reason: Reason | None = None) -> list[Reloaded]:
    """Load the files as they are now. Answers when each interface has them, or has refused them."""
    origin = Origin(reason.how, reason.name_of(peer), reason.note) if reason else Origin()
    outcomes = await worker(lambda controller: controller.reload(origin))
    return [Reloaded(interface=o.interface, reloaded=o.reloaded, error=o.error) for o in outcomes]
