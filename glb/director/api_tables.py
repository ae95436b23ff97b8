# SPDX-License-Identifier: MIT
"""The tables: plans, changes, and the history of versions."""

from typing import Annotated

from pydantic import BaseModel, Field, IPvAnyAddress

from glb.config.edit import Action
from glb.control.api import InBackground
from glb.control.peer import peer_of
from glb.control.routes import ApiRouter, From
from glb.director import changes
from glb.director.api_parameters import LoadsLane, PlansLane
from glb.director.changes import AppliedChange, BackendAction, Consent, MadeChange, PlannedChange
from glb.history.store import KEPT_BYTES
from glb.history.version import LoadCause, Origin, Version, VersionContent
from glb.table.plan import Plan

_ROOT = "root"

PeerUser = Annotated[str | None, From(peer_of)]
"""The user who connected; None if the connection does not show it."""

router = ApiRouter("tables", "/v1/tables")


class WithAuthor(BaseModel):
    """The author of a change, and a note."""

    author: str | None = Field(
        None, max_length=200, description="Sets the author for a connection of root. Other users are known by theirs."
    )
    note: str = Field("", max_length=1 << 16, description="Stored with the version.")

    def name_of(self, user: str | None) -> str:
        """The author's name for the history. user: the user of the connection; None if unknown."""
        if user in (None, _ROOT) and self.author:
            return self.author
        return user or "unknown"


class PlanRequest(BaseModel):
    """Forwarding tables that are not loaded yet."""

    source: str = Field(max_length=KEPT_BYTES, description="The JSON source: the new content of the table file.")
    name: str = Field(
        "the source given", max_length=4096, description="The name of the source in error messages: its file's name."
    )


class WithConsent(WithAuthor):
    """The effects on connections that are accepted."""

    force: bool = Field(
        False,
        description="Also if the change cuts established connections, or a director on this host would not follow.",
    )
    may_cut: bool = Field(
        False,
        description="Also if the change may cut older connections. `glbctl` sets it once the agents of the proxies "
        "have reported that none are left; the director does not query agents.",
    )
    expects: str | None = Field(
        None,
        max_length=64,
        description="The digest of the tables that the plan is based on (`basis.digest`). If others are loaded, "
        "nothing is changed. Without it, the change is planned again, and made if the new plan allows it.",
    )

    @property
    def consent(self) -> Consent:
        return Consent(self.force, self.may_cut, self.expects)


class ApplyRequest(PlanRequest, WithConsent):
    """Tables that replace those that are loaded."""


class RollbackRequest(WithConsent):
    """An earlier version to return to."""

    version: int | None = Field(
        None, description="Its number; by default, the newest version that differs from the file."
    )


class BackendPlanRequest(BaseModel):
    """An action on one backend."""

    action: Action
    address: IPvAnyAddress
    tables: list[str] | None = Field(
        None,
        min_length=1,
        description="The names of the tables; by default, each table that lists the backend, or, to fill a new "
        "backend, the only table.",
    )
    force: bool = Field(
        False,
        description="Also if the transition is not legal, cuts connections, or is not followed by all directors here.",
    )

    @property
    def backend_action(self) -> BackendAction:
        return BackendAction(self.action, str(self.address), self.tables)


class BackendChangeRequest(BackendPlanRequest, WithConsent):
    """An action on one backend, with the accepted effects on connections."""


class HistoryResponse(BaseModel):
    """The versions that were loaded, the newest first."""

    versions: list[Version]
    damaged: list[str] = Field(description="Files of the history that cannot be read, with the reasons.")


@router.post("/plan")
async def plan(body: PlanRequest, plans: PlansLane) -> Plan:
    """The effects of loading this source: rows and binds that move, and connections that would be cut."""
    return await plans(lambda controller: changes.plan(controller, body.source, body.name))


@router.post("/apply")
async def apply(body: ApplyRequest, loads: LoadsLane, user: PeerUser) -> AppliedChange:
    """Replace the table file and load it, atomically. Refused if that cuts connections, unless forced."""
    origin = Origin(LoadCause.APPLY, body.name_of(user), body.note)
    return await loads(lambda controller: changes.apply(controller, body.source, body.name, origin, body.consent))


@router.post("/backends/plan")
async def plan_backend(body: BackendPlanRequest, plans: PlansLane) -> PlannedChange:
    """The effects of draining, activating, filling, deactivating or removing a backend."""
    return await plans(lambda controller: changes.plan_backend(controller, body.backend_action, body.force))


@router.post("/backends")
async def change_backend(body: BackendChangeRequest, loads: LoadsLane, user: PeerUser) -> MadeChange:
    """Drain, activate, fill, deactivate or remove a backend: plan it, edit the table file, and load it, atomically.

    Refused if that cuts connections, unless forced; if it may cut older ones, unless allowed; and if the file is not
    what is loaded.
    """
    origin = Origin(LoadCause.BACKEND, body.name_of(user), body.note)
    return await loads(lambda controller: changes.change_backend(controller, body.backend_action, origin, body.consent))


@router.get("/history")
async def history(loads: LoadsLane, costly: InBackground) -> HistoryResponse:
    """The versions of the table file that were loaded."""
    kept = await loads(lambda controller: controller.history)
    listing = await costly(kept.listing)  # takes long, and the lane has loads to do
    return HistoryResponse(versions=listing.versions, damaged=listing.damaged)


@router.get("/history/before")
async def version_before(loads: LoadsLane) -> VersionContent:
    """The version that a rollback returns to: the newest one that differs from the file."""
    return await loads(changes.version_before)


@router.get("/history/{number}")
async def version(number: int, loads: LoadsLane) -> VersionContent:
    """A version, with its source."""
    return await loads(lambda controller: controller.history.read(number))


@router.post("/rollback")
async def rollback(body: RollbackRequest, loads: LoadsLane, user: PeerUser) -> AppliedChange:
    """Apply an earlier version, by the rules of apply."""
    origin = Origin(LoadCause.ROLLBACK, body.name_of(user), body.note)
    return await loads(lambda controller: changes.roll_back(controller, body.version, origin, body.consent))
