"""Which checks the forwarding tables ask for, each one once. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from glb.config.health import HealthCheckPolicy
from glb.config.model import Address, Backend, ForwardingTables, State, Table
from glb.health.check import Check, checks_of


@dataclass(frozen=True, slots=True)
class Probe:
    """A check, and how it is asked. The same check by two policies is two probes."""

    check: Check
    policy: HealthCheckPolicy


@dataclass(frozen=True, slots=True)
class BackendPlan:
    """A backend and its probes. `impossible` tells of checks that cannot be made on this host.

    `healthy` is what the file says; it counts where there is no probe. An inactive backend has none.
    """

    address: Address
    state: State
    healthy: bool
    probes: tuple[Probe, ...] = ()
    impossible: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TablePlan:
    """A table's backends, and what share of those that are checked may fail before that is not believed."""

    name: str
    hold_share: float
    backends: tuple[BackendPlan, ...]

    @property
    def window(self) -> float:
        """Seconds in which backends that have failed at once are seen to fail."""
        return max((probe.policy.seconds_to_fall for b in self.backends for probe in b.probes), default=0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is to be checked."""

    tables: tuple[TablePlan, ...] = ()

    def tables_by_probe(self) -> Mapping[Probe, tuple[TablePlan, ...]]:
        found: dict[Probe, dict[str, TablePlan]] = {}
        for table in self.tables:
            for backend in table.backends:
                for probe in backend.probes:
                    found.setdefault(probe, {})[table.name] = table
        return {probe: tuple(tables.values()) for probe, tables in found.items()}

    def impossible(self) -> set[str]:
        """The checks that cannot be made on this host, as lines that say whose and why."""
        return {
            f"{table.name}: {backend.address}: {problem}"
            for table in self.tables
            for backend in table.backends
            for problem in backend.impossible
        }


WhyNot = Callable[[Check], str | None]


def plan(tables: ForwardingTables, why_not: WhyNot) -> Plan:
    """What the tables ask for. `why_not` tells why a check cannot be made on this host, None if it can."""
    return Plan(tuple(_table(table, why_not) for table in tables.tables))


def _table(table: Table, why_not: WhyNot) -> TablePlan:
    return TablePlan(
        table.name, table.hold_share, tuple(_backend(table, backend, why_not) for backend in table.backends)
    )


def _backend(table: Table, backend: Backend, why_not: WhyNot) -> BackendPlan:
    checks = checks_of(table, backend) if backend.state is not State.INACTIVE else ()
    asked = [(check, why_not(check)) for check in checks]
    return BackendPlan(
        backend.address,
        backend.state,
        backend.healthy,
        tuple(Probe(check, backend.policy) for check, reason in asked if reason is None),
        tuple(f"{check.label}: {reason}" for check, reason in asked if reason is not None),
    )
