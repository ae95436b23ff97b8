"""The tables: what a change would do, changing them, and the versions that there were."""

from pydantic import BaseModel, Field

from glb.control.api import InBackground
from glb.control.routes import Router
from glb.director import changes
from glb.director.author import By, Peer
from glb.director.changes import Applied
from glb.director.worker import Planner, Worker
from glb.history.store import KEPT_BYTES
from glb.history.version import How, Kept, Origin, Version
from glb.table.plan import Plan

router = Router("tables", "/v1/tables")


class Source(BaseModel):
    """Forwarding tables that are not loaded yet."""

    source: str = Field(max_length=KEPT_BYTES, description="The JSON source, as the table file is to hold it.")
    name: str = Field(
        "the source given", max_length=4096, description="What error messages call it: the name of its file."
    )


class Change(Source, By):
    """Tables to put in the place of those that are loaded."""

    force: bool = Field(False, description="Also if that cuts established connections.")


class Rollback(By):
    """An older version to go back to."""

    version: int | None = Field(None, description="Its number; without one, the newest that differs from the file.")
    force: bool = Field(False, description="Also if that cuts established connections.")


class Versions(BaseModel):
    """What was loaded so far, the newest first."""

    versions: list[Version]
    damaged: list[str] = Field(description="What is wrong with files that hold no version that can be read.")


@router.post("/plan")
async def plan(body: Source, worker: Planner) -> Plan:
    """What loading this source would do: rows and binds that move, and connections that would be cut."""
    return await worker(lambda controller: changes.plan(controller, body.source, body.name))


@router.post("/apply")
async def apply(body: Change, worker: Worker, peer: Peer) -> Applied:
    """Replace the table file and load it: as a whole, or not at all. Refused if it cuts connections, unless forced."""
    origin = Origin(How.APPLY, body.name_of(peer), body.note)
    return await worker(lambda controller: changes.apply(controller, body.source, body.name, origin, body.force))


@router.get("/history")
async def history(worker: Worker, costly: InBackground) -> Versions:
    """The versions of the table file that were loaded."""
    kept = await worker(lambda controller: controller.history)
    listing = await costly(kept.listing)  # which takes a while, and the worker has health to apply
    return Versions(versions=listing.versions, damaged=listing.damaged)


@router.get("/history/before")
async def version_before(worker: Worker) -> Kept:
    """What a rollback goes back to: the newest version with other tables than the file has."""
    return await worker(changes.version_before)


@router.get("/history/{number}")
async def version(number: int, worker: Worker) -> Kept:
    """One version, with its source."""
    return await worker(lambda controller: controller.history.read(number))


@router.post("/rollback")
async def rollback(body: Rollback, worker: Worker, peer: Peer) -> Applied:
    """Apply an older version, by the rules of apply."""
    origin = Origin(How.ROLLBACK, body.name_of(peer), body.note)
    return await worker(lambda controller: changes.roll_back(controller, body.version, origin, body.force))
