# SPDX-License-Identifier: MIT
"""The health of all backends as it is told to people and machines. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from glb.config.model import Address
from glb.health.ledger import Ledger
from glb.health.plan import BackendPlan, TablePlan


@dataclass(frozen=True, slots=True)
class CheckAccount:
    """One check of a backend: whether it is up, and what it found last."""

    check: str
    up: bool
    found: str


@dataclass(frozen=True, slots=True)
class BackendAccount:
    """A backend. `since` is in seconds since 1970; an inactive backend has no health.

    `source` says who decides: checks, held, set, file. `not_made` lists checks that this host cannot make.
    """

    table: str
    address: str
    state: str
    healthy: bool | None
    since: float | None
    source: str | None
    reason: str | None
    checks: tuple[CheckAccount, ...]
    not_made: tuple[str, ...]


def account(ledger: Ledger) -> Iterator[BackendAccount]:
    """Of each backend, in the order of the file."""
    for table in ledger.plan.tables:
        for backend in table.backends:
            yield _account(ledger, table, backend)


def account_of(ledger: Ledger, table: str, address: Address) -> BackendAccount:
    """Of one backend. Raises HealthError if there is none."""
    plan = ledger.table(table, address)
    return next(_account(ledger, plan, backend) for backend in plan.backends if backend.address == address)


def _account(ledger: Ledger, table: TablePlan, backend: BackendPlan) -> BackendAccount:
    health = ledger.health(table.name, backend.address)
    probed = [(probe.check, ledger.probes[probe]) for probe in backend.probes]
    return BackendAccount(
        table=table.name,
        address=str(backend.address),
        state=backend.state.value,
        healthy=None if health is None else health.healthy,
        since=None if health is None else health.since,
        source=None if health is None else health.source.value,
        reason=None if health is None else health.reason,
        checks=tuple(CheckAccount(check.label, known.damped.up, known.found) for check, known in probed),
        not_made=backend.impossible,
    )
