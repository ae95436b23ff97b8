# SPDX-License-Identifier: MIT
"""The daemon itself: what it serves, and reloading."""

from pydantic import BaseModel

from glb.control.routes import ApiRouter
from glb.daemon.report import Report
from glb.director.worker import Now, Worker

router = ApiRouter("daemon")


class Reloaded(BaseModel):
    """Whether an interface's datapath has the files as they are now."""

    interface: str
    reloaded: bool
    error: str | None


@router.get("/status")
async def status(now: Now) -> list[Report]:
    """The daemon's report of each of its interfaces."""
    return now.reports


@router.post("/reload")
async def reload(worker: Worker) -> list[Reloaded]:
    """Load the files as they are now. Answers when each interface has them, or has refused them."""
    outcomes = await worker(lambda controller: controller.reload())
    return [Reloaded(interface=o.interface, reloaded=o.reloaded, error=o.error) for o in outcomes]
