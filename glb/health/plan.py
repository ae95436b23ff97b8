# SPDX-License-Identifier: MIT
"""Which checks the forwarding tables ask for, each one once. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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


def without_repetition(editions: Iterable[ForwardingTables]) -> tuple[ForwardingTables, ...]:
    """Those of several editions of the tables that list a backend which none before them does."""
    chosen: list[ForwardingTables] = []
    listed: set[tuple[str, Address]] = set()
    for edition in editions:
        lists = {(table.name, backend.address) for table in edition.tables for backend in table.backends}
        if lists - listed:
            chosen.append(edition)
            listed |= lists
    return tuple(chosen)


def plan(editions: Sequence[ForwardingTables], why_not: WhyNot) -> Plan:
    """What the tables ask for. `why_not` tells why a check cannot be made on this host, None if it can.

    Of a backend that several editions list in the same table, the first one counts.
    """
    tables: dict[str, TablePlan] = {}
    for edition in editions:
        for table in edition.tables:
            known = tables.get(table.name, TablePlan(table.name, table.hold_share, ()))
            tables[table.name] = _with_backends_of(table, known, why_not)
    return Plan(tuple(tables.values()))


def _with_backends_of(table: Table, known: TablePlan, why_not: WhyNot) -> TablePlan:
    there = {backend.address for backend in known.backends}
    more = [_backend(table, backend, why_not) for backend in table.backends if backend.address not in there]
    return replace(known, backends=(*known.backends, *more))


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
