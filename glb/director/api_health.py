"""The backends' health: what it is, how it came about, and setting it from outside."""

import asyncio
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field, IPvAnyAddress

from glb.director.health import Keeper
from glb.health.account import BackendAccount, account, account_of
from glb.health.ledger import HealthChange, Ledger
from glb.health.monitor import Monitor

router = APIRouter(tags=["health"])

_SET_BY_HAND = "set from outside"


def _keeper(request: Request) -> Keeper:
    keeper: Keeper = request.app.state.keeper
    return keeper


def _monitor(keeper: Annotated[Keeper, Depends(_keeper)]) -> Monitor:
    return keeper.monitor


Health = Annotated[Monitor, Depends(_monitor)]
Kept = Annotated[Keeper, Depends(_keeper)]


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
    backends: list[BackendAccount]


class History(BaseModel):
    """A backend's health, and its latest changes, oldest first."""

    now: BackendAccount
    changes: list[HealthChange]


@router.get("/health", response_model=HealthReport)
async def health(monitor: Health) -> Response:
    """The health of each table's backends, and what their checks found last."""
    text = await asyncio.to_thread(_report, monitor.ledger.copy(), monitor.late, monitor.not_counted)
    return Response(text, media_type="application/json")


@router.get("/tables/{table:path}/backends/{address}/health")
async def backend_health(table: str, address: IPvAnyAddress, monitor: Health) -> History:
    """One backend's health, and its changes."""
    return _history(monitor, table, address)


@router.put("/tables/{table:path}/backends/{address}/health")
async def set_health(table: str, address: IPvAnyAddress, order: Order, keeper: Kept) -> History:
    """Set a backend's health, or leave it to its checks again. It outlives reloads and restarts."""
    monitor = keeper.monitor
    healthy = None if order.health is Wanted.AUTO else order.health is Wanted.UP
    monitor.set(table, address, healthy, order.reason)
    await keeper.save()  # before it is answered: a daemon may be killed
    return _history(monitor, table, address)


def _report(ledger: Ledger, late: float, not_counted: int) -> str:
    """A `HealthReport` as JSON. Of 10,000 backends it takes so long that the checks would wait for it."""
    report = HealthReport(
        checks=len(ledger.probes),
        late=late,
        not_counted=not_counted,
        held=[table.name for table in ledger.plan.tables if ledger.hold(table.name) is not None],
        backends=list(account(ledger)),
    )
    return report.model_dump_json()


def _history(monitor: Monitor, table: str, address: IPvAnyAddress) -> History:
    ledger = monitor.ledger
    return History(now=account_of(ledger, table, address), changes=list(ledger.history(table, address)))
