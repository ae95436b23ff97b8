"""The daemon itself: what it serves, and reloading."""

from fastapi import APIRouter
from pydantic import BaseModel

from glb.daemon.report import Report
from glb.director.worker import Worker

router = APIRouter(tags=["daemon"])


class Reloaded(BaseModel):
    """Whether an interface's datapath has the files as they are now."""

    interface: str
    reloaded: bool
    error: str | None


@router.get("/status")
async def status(worker: Worker) -> list[Report]:
    """The daemon's report of each of its interfaces."""
    return await worker(lambda controller: [director.report for director in controller.directors])


@router.post("/reload")
async def reload(worker: Worker) -> list[Reloaded]:
    """Load the files as they are now. Answers when each interface has them, or has refused them."""
    outcomes = await worker(lambda controller: controller.reload())
    return [Reloaded(interface=o.interface, reloaded=o.reloaded, error=o.error) for o in outcomes]
