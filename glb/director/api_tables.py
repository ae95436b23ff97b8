# SPDX-License-Identifier: MIT
"""The tables: what a change would do, changing them, and the versions that there were."""

from pydantic import BaseModel, Field, IPvAnyAddress

from glb.config.edit import Action
from glb.control.api import InBackground
from glb.control.routes import ApiRouter
from glb.director import changes
from glb.director.author import By, Peer
from glb.director.changes import Applied, Consent, MadeChange, PlannedChange, Wish
from glb.director.worker import Planner, Worker
from glb.history.store import KEPT_BYTES
from glb.history.version import LoadCause, Origin, Version, VersionContent
from glb.table.plan import Plan

router = ApiRouter("tables", "/v1/tables")


class Source(BaseModel):
    """Forwarding tables that are not loaded yet."""

    source: str = Field(max_length=KEPT_BYTES, description="The JSON source, as the table file is to hold it.")
    name: str = Field(
        "the source given", max_length=4096, description="What error messages call it: the name of its file."
    )


class Consented(By):
    """What the change may do to connections."""

    force: bool = Field(
        False, description="Also if that cuts established connections, or a director on this host would not follow."
    )
    may_cut: bool = Field(
        False,
        description="Also if it may cut older connections: the proxies' agents were asked, and hold none (`glbctl` "
        "does that). The director itself does not ask them.",
    )
    expects: str | None = Field(
        None,
        max_length=64,
        description="The digest of the tables that the plan began with (`basis.digest`). If others are loaded, nothing "
        "is changed. Without it, the change is planned anew, and made if the new plan allows it.",
    )

    @property
    def consent(self) -> Consent:
        return Consent(self.force, self.may_cut, self.expects)


class Change(Source, Consented):
    """Tables to put in the place of those that are loaded."""


class Rollback(Consented):
    """An older version to go back to."""

    version: int | None = Field(None, description="Its number; without one, the newest that differs from the file.")


class BackendWish(BaseModel):
    """What is to become of one backend."""

    action: Action
    address: IPvAnyAddress
    tables: list[str] | None = Field(
        None,
        min_length=1,
        description="The names of the tables; without them, each that lists the backend, or, to fill a new one, the "
        "only table there is.",
    )
    force: bool = Field(False, description="Also if the move is not legal, cuts connections, or is not followed here.")

    @property
    def wish(self) -> Wish:
        return Wish(self.action, str(self.address), self.tables)


class BackendWishToMake(BackendWish, Consented):
    """The same, to be made, with what it may do to connections."""


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
    origin = Origin(LoadCause.APPLY, body.name_of(peer), body.note)
    return await worker(lambda controller: changes.apply(controller, body.source, body.name, origin, body.consent))


@router.post("/backends/plan")
async def plan_backend(body: BackendWish, worker: Planner) -> PlannedChange:
    """What draining, activating, filling, deactivating or removing a backend would do."""
    return await worker(lambda controller: changes.plan_backend(controller, body.wish, body.force))


@router.post("/backends")
async def change_backend(body: BackendWishToMake, worker: Worker, peer: Peer) -> MadeChange:
    """Drain, activate, fill, deactivate or remove a backend: plan it, edit the table file, and load it, in one step.

    As a whole, or not at all. Refused if it cuts connections, unless forced; if it may cut older ones, unless allowed;
    and if the file is not what is loaded.
    """
    origin = Origin(LoadCause.BACKEND, body.name_of(peer), body.note)
    return await worker(lambda controller: changes.change_backend(controller, body.wish, origin, body.consent))


@router.get("/history")
async def history(worker: Worker, costly: InBackground) -> Versions:
    """The versions of the table file that were loaded."""
    kept = await worker(lambda controller: controller.history)
    listing = await costly(kept.listing)  # which takes a while, and the worker has health to apply
    return Versions(versions=listing.versions, damaged=listing.damaged)


@router.get("/history/before")
async def version_before(worker: Worker) -> VersionContent:
    """What a rollback goes back to: the newest version with other tables than the file has."""
    return await worker(changes.version_before)


@router.get("/history/{number}")
async def version(number: int, worker: Worker) -> VersionContent:
    """One version, with its source."""
    return await worker(lambda controller: controller.history.read(number))


@router.post("/rollback")
async def rollback(body: Rollback, worker: Worker, peer: Peer) -> Applied:
    """Apply an older version, by the rules of apply."""
    origin = Origin(LoadCause.ROLLBACK, body.name_of(peer), body.note)
    return await worker(lambda controller: changes.roll_back(controller, body.version, origin, body.consent))
