# SPDX-License-Identifier: MIT
"""The backends' health: what it is, how it came about, and setting it from outside."""

from enum import StrEnum
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field, IPvAnyAddress, TypeAdapter

from glb.control.api import InBackground
from glb.control.routes import ApiRouter, From, RawResponse
from glb.director.health import Keeper
from glb.health.monitor import Monitor
from glb.health.report import BackendHealthReport, report_backend, report_backends
from glb.health.state import HealthChange, HealthState

KEEPER = web.AppKey("keeper", Keeper)

router = ApiRouter("health")

_SET_BY_HAND = "set from outside"


def _keeper(request: web.Request) -> Keeper:
    return request.app[KEEPER]


def _monitor(request: web.Request) -> Monitor:
    return request.app[KEEPER].monitor


Health = Annotated[Monitor, From(_monitor)]
Kept = Annotated[Keeper, From(_keeper)]


class Wanted(StrEnum):
    """What a backend's health is to be; auto: what its checks say."""

    UP = "up"
    DOWN = "down"
    AUTO = "auto"


class Order(BaseModel):
    """A backend's health, set whatever its checks say."""

    health: Wanted
    reason: Annotated[str, Field(max_length=200)] = _SET_BY_HAND


class HealthReport(BaseModel):
    """The health of all backends.

    checks: how many are asked again and again, each one once. late: seconds that the check which began last was behind
    its time. not_counted: timeouts that were none, since the daemon was too busy to look. held: tables of which too
    many backends fail, so that this is not believed.
    """

    checks: int
    late: float
    not_counted: int
    held: list[str]
    backends: list[BackendHealthReport]


class History(BaseModel):
    """A backend's health, and its latest changes, oldest first."""

    now: BackendHealthReport
    changes: list[HealthChange]


@router.get("/health", answer=HealthReport)
async def health(monitor: Health, costly: InBackground) -> RawResponse:
    """The health of each table's backends, and what their checks found last."""
    state, late, not_counted = monitor.state.copy(), monitor.late, monitor.not_counted
    return await costly(lambda: _report(state, late, not_counted))


@router.get("/tables/{table}/backends/{address}/health")
async def backend_health(table: str, address: IPvAnyAddress, monitor: Health) -> History:
    """One backend's health, and its changes."""
    return _history(monitor, table, address)


@router.put("/tables/{table}/backends/{address}/health")
async def set_health(table: str, address: IPvAnyAddress, order: Order, keeper: Kept) -> History:
    """Set a backend's health, or leave it to its checks again. It outlives reloads and restarts."""
    monitor = keeper.monitor
    healthy = None if order.health is Wanted.AUTO else order.health is Wanted.UP
    monitor.set(table, address, healthy, order.reason)
    await keeper.save()  # before it is answered: a daemon may be killed
    return _history(monitor, table, address)


_backend = TypeAdapter(BackendHealthReport)


def _report(state: HealthState, late: float, not_counted: int) -> RawResponse:
    """A `HealthReport` as JSON, whose `backends` come last. Of 10,000 backends it takes some time."""
    report = HealthReport(
        checks=len(state.checks),
        late=late,
        not_counted=not_counted,
        held=[table.name for table in state.plan.tables if state.hold(table.name) is not None],
        backends=[],
    )
    head, end = report.model_dump_json().encode().removesuffix(b"]}"), b"]}"
    # One by one: pydantic holds Python's lock until a whole list is written, and no check goes on meanwhile.
    backends = b",".join(_backend.dump_json(each) for each in report_backends(state))
    return RawResponse(head + backends + end, "application/json")


def _history(monitor: Monitor, table: str, address: IPvAnyAddress) -> History:
    state = monitor.state
    return History(now=report_backend(state, table, address), changes=list(state.history(table, address)))
