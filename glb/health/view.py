# SPDX-License-Identifier: MIT
"""The health of every backend as it is in force, and tables with that health laid over them. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from glb.config.health import Initial
from glb.config.model import Address, Backend, ForwardingTables, Table
from glb.health.check import checks_of


class Source(StrEnum):
    """Who decides on a backend's health.

    checks: they do. held: too many fail, so what was before them goes on. set: somebody, by hand or by the API. file:
    the forwarding table's source, where there is no check.
    """

    CHECKS = "checks"
    HELD = "held"
    SET = "set"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """A backend's health in force. `since` is in seconds since 1970."""

    healthy: bool
    since: float
    reason: str
    source: Source


@dataclass(frozen=True, slots=True)
class HealthView:
    """Health by table and backend, at one moment. Inactive backends have none."""

    tables: Mapping[str, Mapping[Address, BackendHealth]] = field(default_factory=dict)

    def healthy(self, table: str, address: Address) -> bool | None:
        """None for a backend that the view does not know."""
        known = self.tables.get(table, {}).get(address)
        return None if known is None else known.healthy


def with_health(tables: ForwardingTables, view: HealthView) -> ForwardingTables:
    """The tables with the health of the view in the place of the file's.

    A backend with checks that the view does not know is taken for what its policy says of one never checked.
    """

    def of_unknown(table: Table, backend: Backend) -> bool:
        return backend.policy.initial is Initial.UP if checks_of(table, backend) else backend.healthy

    return _overlaid(tables, view, of_unknown)


def with_known_health(tables: ForwardingTables, view: HealthView) -> ForwardingTables:
    """The same, but a backend that the view does not know is as healthy as the file says: for tables to come."""
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
