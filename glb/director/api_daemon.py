# SPDX-License-Identifier: MIT
"""The daemon: its status, and reloading."""

from pydantic import BaseModel

from glb.control.routes import ApiRouter
from glb.daemon.report import Report
from glb.director.api_parameters import CurrentController, LoadsLane

router = ApiRouter("daemon")


class ReloadResponse(BaseModel):
    """Whether the present files are in force at an interface."""

    interface: str
    reloaded: bool
    error: str | None


@router.get("/status")
async def status(controller: CurrentController) -> list[Report]:
    """The status of each of the daemon's interfaces."""
    return controller.reports


@router.post("/reload")
async def reload(loads: LoadsLane) -> list[ReloadResponse]:
    """Load the present files. Responds when they are in force, or refused, at each interface."""
    results = await loads(lambda controller: controller.reload())
    return [ReloadResponse(interface=r.interface, reloaded=r.reloaded, error=r.error) for r in results]
