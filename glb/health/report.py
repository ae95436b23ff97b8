# SPDX-License-Identifier: MIT
"""The health of all backends as the API reports it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from glb.config.model import Address
from glb.health.check_plan import BackendChecks, TableChecks
from glb.health.state import HealthState


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One check of a backend: whether it is up, and its latest result."""

    check: str
    up: bool
    found: str


@dataclass(frozen=True, slots=True)
class BackendHealthReport:
    """A backend. `since` is in seconds since 1970; an inactive backend has no health.

    `source` says where the health comes from: checks, held, set, file. `not_made` lists checks that this host cannot
    make.
    """

    table: str
    address: str
    state: str
    healthy: bool | None
    since: float | None
    source: str | None
    reason: str | None
    checks: tuple[CheckReport, ...]
    not_made: tuple[str, ...]


def report_backends(state: HealthState) -> Iterator[BackendHealthReport]:
    """A report of each backend, in the order of the file."""
    for table in state.plan.tables:
        for backend in table.backends:
            yield _report(state, table, backend)


def report_backend(state: HealthState, table: str, address: Address) -> BackendHealthReport:
    """The report of one backend. Raises HealthError if there is no such backend."""
    plan = state.table(table, address)
    return next(_report(state, plan, backend) for backend in plan.backends if backend.address == address)


def _report(state: HealthState, table: TableChecks, backend: BackendChecks) -> BackendHealthReport:
    health = state.health(table.name, backend.address)
    found = [(planned.check, state.checks[planned]) for planned in backend.checks]
    return BackendHealthReport(
        table=table.name,
        address=str(backend.address),
        state=backend.state.value,
        healthy=None if health is None else health.healthy,
        since=None if health is None else health.since,
        source=None if health is None else health.source.value,
        reason=None if health is None else health.reason,
        checks=tuple(CheckReport(check.label, known.state.up, known.found) for check, known in found),
        not_made=backend.impossible,
    )
