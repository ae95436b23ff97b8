# SPDX-License-Identifier: MIT
"""The health of every backend, and forwarding tables with that health in place of the file's. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from glb.config.health import Initial
from glb.config.model import Address, Backend, ForwardingTables, Table
from glb.health.check_plan import checks_of


class HealthSource(StrEnum):
    """Where a backend's health comes from.

    checks: its checks. held: its checks fail, and a hold keeps it up. set: an override. file: `healthy` of the table
    file, for a backend without checks.
    """

    CHECKS = "checks"
    HELD = "held"
    SET = "set"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """A backend's health. `since` is in seconds since 1970."""

    healthy: bool
    since: float
    reason: str
    source: HealthSource


@dataclass(frozen=True, slots=True)
class HealthView:
    """A snapshot of health by table and backend. Inactive backends have none."""

    tables: Mapping[str, Mapping[Address, BackendHealth]] = field(default_factory=dict)

    def healthy(self, table: str, address: Address) -> bool | None:
        """None for a backend that is not in the view."""
        known = self.tables.get(table, {}).get(address)
        return None if known is None else known.healthy


def with_health(tables: ForwardingTables, view: HealthView) -> ForwardingTables:
    """The tables with the health of the view in place of the file's.

    A backend that has checks but is not in the view has the health that its policy sets before the first result.
    """

    def of_unknown(table: Table, backend: Backend) -> bool:
        return backend.policy.initial is Initial.UP if checks_of(table, backend) else backend.healthy

    return _overlaid(tables, view, of_unknown)


def with_known_health(tables: ForwardingTables, view: HealthView) -> ForwardingTables:
    """The same, but a backend that is not in the view keeps the health of the file: for tables not loaded yet."""
    return _overlaid(tables, view, lambda _, backend: backend.healthy)


def _overlaid(
    tables: ForwardingTables, view: HealthView, of_unknown: Callable[[Table, Backend], bool]
) -> ForwardingTables:
    def judged(table: Table, backend: Backend) -> Backend:
        known = view.healthy(table.name, backend.address)
        healthy = of_unknown(table, backend) if known is None else known
        return backend if healthy == backend.healthy else replace(backend, healthy=healthy)

    return ForwardingTables(
        tuple(
            replace(table, backends=tuple(judged(table, backend) for backend in table.backends))
            for table in tables.tables
        )
    )
