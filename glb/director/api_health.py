# SPDX-License-Identifier: MIT
"""The health of backends: its state, its changes, and overrides."""

from enum import StrEnum
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field, IPvAnyAddress, TypeAdapter

from glb.control.api import InBackground
from glb.control.routes import ApiRouter, From, RawResponse
from glb.director.api_parameters import CurrentController
from glb.director.health_duties import HealthFile
from glb.health.monitor import Monitor
from glb.health.report import BackendHealthReport, report_backend, report_backends
from glb.health.state import HealthChange, HealthState
from glb.table.findings import PlanFinding

HEALTH_FILE = web.AppKey("health_file", HealthFile)

router = ApiRouter("health")

_SET_BY_HAND = "set from outside"


def _health_file(request: web.Request) -> HealthFile:
    return request.app[HEALTH_FILE]


def _monitor(request: web.Request) -> Monitor:
    return request.app[HEALTH_FILE].monitor


CurrentMonitor = Annotated[Monitor, From(_monitor)]
CurrentHealthFile = Annotated[HealthFile, From(_health_file)]


class WantedHealth(StrEnum):
    """The health to set for a backend. auto: by its checks."""

    UP = "up"
    DOWN = "down"
    AUTO = "auto"


class HealthRequest(BaseModel):
    """Sets a backend's health, whatever its checks find."""

    health: WantedHealth
    reason: Annotated[str, Field(max_length=200)] = _SET_BY_HAND


class HealthResponse(BaseModel):
    """The health of all backends.

    checks: the number of different checks. late: seconds by which the latest check started late. not_counted: checks
    that could not be made, or whose answers the daemon was too busy to read. held: tables on hold, since too many of
    their backends fail.
    """

    checks: int
    late: float
    not_counted: int
    held: list[str]
    backends: list[BackendHealthReport]


class HealthHistoryResponse(BaseModel):
    """A backend's health, and its latest changes, oldest first."""

    now: BackendHealthReport
    changes: list[HealthChange]


class HealthSetResponse(HealthHistoryResponse):
    """The same after an override. findings: how connections of the table's rows are lost, or may be, by it."""

    findings: list[PlanFinding]


@router.get("/health", answer=HealthResponse)
async def health(monitor: CurrentMonitor, costly: InBackground) -> RawResponse:
    """The health of each table's backends, and the latest results of their checks."""
    state, late, not_counted = monitor.state.copy(), monitor.late, monitor.not_counted
    return await costly(lambda: _report(state, late, not_counted))


@router.get("/tables/{table}/backends/{address}/health")
async def backend_health(table: str, address: IPvAnyAddress, monitor: CurrentMonitor) -> HealthHistoryResponse:
    """One backend's health, and its changes."""
    return _history(monitor, table, address)


@router.put("/tables/{table}/backends/{address}/health")
async def set_health(
    table: str,
    address: IPvAnyAddress,
    body: HealthRequest,
    health_file: CurrentHealthFile,
    controller: CurrentController,
    costly: InBackground,
) -> HealthSetResponse:
    """Set a backend's health, or remove the override. An override is kept across reloads and restarts."""
    monitor = health_file.monitor
    healthy = None if body.health is WantedHealth.AUTO else body.health is WantedHealth.UP
    before = controller.loaded
    monitor.set(table, address, healthy, body.reason)
    await health_file.save()  # before the response: the daemon may be killed
    findings: tuple[PlanFinding, ...] = ()
    if healthy is False:
        findings = await costly(lambda: controller.losses_if_down(before, table, address))
    history = _history(monitor, table, address)
    return HealthSetResponse(now=history.now, changes=history.changes, findings=list(findings))


_backend = TypeAdapter(BackendHealthReport)


def _report(state: HealthState, late: float, not_counted: int) -> RawResponse:
    """A `HealthResponse` as JSON, whose last key is `backends`. Takes long for 10,000 backends."""
    report = HealthResponse(
        checks=len(state.checks),
        late=late,
        not_counted=not_counted,
        held=[table.name for table in state.plan.tables if state.hold(table.name) is not None],
        backends=[],
    )
    head, end = report.model_dump_json().encode().removesuffix(b"]}"), b"]}"
    # One by one: pydantic holds Python's lock for a whole list, which would delay the checks.
    backends = b",".join(_backend.dump_json(each) for each in report_backends(state))
    return RawResponse(head + backends + end, "application/json")


def _history(monitor: Monitor, table: str, address: IPvAnyAddress) -> HealthHistoryResponse:
    state = monitor.state
    return HealthHistoryResponse(now=report_backend(state, table, address), changes=list(state.history(table, address)))
