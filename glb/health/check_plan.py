# SPDX-License-Identifier: MIT
"""The checks that the forwarding tables configure, and the plan that lists each of them once. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from glb.config.health import FULL_SIZE, HealthCheckPolicy, HealthChecks, StatusRange
from glb.config.model import Address, Backend, ForwardingTables, State, Table


class CheckKind(StrEnum):
    """The protocol of a check. The names are the configuration's keys."""

    GUE = "gue"
    GUE_SIZE = "gue_size"
    TCP = "tcp"
    HTTP = "http"
    HTTPS = "https"
    VIP_TCP = "vip_tcp"
    VIP_HTTP = "vip_http"


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one backend. Equal checks of several tables are made once.

    `vip` is set for a check of the VIP through the tunnel to the backend, whose own address is `address`. The fields
    after `vip` apply to HTTP and have their defaults elsewhere. `host` is the Host header, and the server name in TLS.
    `size` is set for GUE_SIZE: the maximum size of the outer IP packet in bytes.
    """

    kind: CheckKind
    address: Address
    port: int
    vip: Address | None = None
    uri: str = "/"
    host: str | None = None
    statuses: tuple[StatusRange, ...] = ()
    verify: bool = False
    size: int | None = None

    @property
    def label(self) -> str:
        """The name of the check in messages that also name the backend, such as "http 80"."""
        if self.size is not None:
            return f"{self.kind} {'full' if self.size == FULL_SIZE else self.size}"
        return f"{self.kind} {self.port}"

    @property
    def key(self) -> str:
        """An identifier that is the same for equal checks only, also after a restart."""
        statuses = ",".join(f"{first}-{last}" for first, last in self.statuses)
        facts = (self.kind, self.address, self.port, self.vip, self.uri, self.host, statuses, self.verify)
        sizes = () if self.size is None else (self.size,)  # keys of other checks stay as in earlier versions
        return " ".join(map(str, (*facts, *sizes)))

    @property
    def target(self) -> Address:
        """The destination of the innermost packet."""
        return self.address if self.vip is None else self.vip


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """A check and the policy by which it is made. The same check by two policies is made twice."""

    check: Check
    policy: HealthCheckPolicy


@dataclass(frozen=True, slots=True)
class BackendChecks:
    """A backend and its checks. `impossible` lists checks that cannot be made on this host, with the reasons.

    `healthy` is the value in the file; it applies to a backend without checks. An inactive backend has no checks.
    """

    address: Address
    state: State
    healthy: bool
    checks: tuple[PlannedCheck, ...] = ()
    impossible: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableChecks:
    """A table's backends, and the share of the checked ones above which failures put the table on hold."""

    name: str
    hold_share: float
    backends: tuple[BackendChecks, ...]

    @property
    def window(self) -> float:
        """Seconds within which backends that failed at the same moment are found to be down."""
        return max((planned.policy.seconds_to_fall for b in self.backends for planned in b.checks), default=0.0)


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """All checks to make."""

    tables: tuple[TableChecks, ...] = ()

    def tables_by_check(self) -> Mapping[PlannedCheck, tuple[TableChecks, ...]]:
        found: dict[PlannedCheck, dict[str, TableChecks]] = {}
        for table in self.tables:
            for backend in table.backends:
                for planned in backend.checks:
                    found.setdefault(planned, {})[table.name] = table
        return {planned: tuple(tables.values()) for planned, tables in found.items()}

    def impossible(self) -> set[str]:
        """The checks that cannot be made on this host: a line each, with the table, the backend and the reason."""
        return {
            f"{table.name}: {backend.address}: {problem}"
            for table in self.tables
            for backend in table.backends
            for problem in backend.impossible
        }


WhyNot = Callable[[Check], str | None]
"""Returns the reason why a check cannot be made on this host; None if it can."""


def checks_of(table: Table, backend: Backend) -> tuple[Check, ...]:
    """The checks of one of the table's backends; those of its own address come first."""
    return tuple(_checks(table, backend.address, backend.healthchecks))


def without_repetition(editions: Iterable[ForwardingTables]) -> tuple[ForwardingTables, ...]:
    """The editions of the tables that list a backend which no earlier edition lists."""
    chosen: list[ForwardingTables] = []
    listed: set[tuple[str, Address]] = set()
    for edition in editions:
        lists = {(table.name, backend.address) for table in edition.tables for backend in table.backends}
        if lists - listed:
            chosen.append(edition)
            listed |= lists
    return tuple(chosen)


def plan_checks(editions: Sequence[ForwardingTables], why_not: WhyNot) -> CheckPlan:
    """The checks that the tables configure. If several editions list a backend in the same table, the first applies."""
    tables: dict[str, TableChecks] = {}
    for edition in editions:
        for table in edition.tables:
            known = tables.get(table.name, TableChecks(table.name, table.hold_share, ()))
            tables[table.name] = _with_backends_of(table, known, why_not)
    return CheckPlan(tuple(tables.values()))


def _with_backends_of(table: Table, known: TableChecks, why_not: WhyNot) -> TableChecks:
    listed = {backend.address for backend in known.backends}
    more = [_backend(table, backend, why_not) for backend in table.backends if backend.address not in listed]
    return replace(known, backends=(*known.backends, *more))


def _backend(table: Table, backend: Backend, why_not: WhyNot) -> BackendChecks:
    checks = checks_of(table, backend) if backend.state is not State.INACTIVE else ()
    reasons = [(check, why_not(check)) for check in checks]
    return BackendChecks(
        backend.address,
        backend.state,
        backend.healthy,
        tuple(PlannedCheck(check, backend.policy) for check, reason in reasons if reason is None),
        tuple(f"{check.label}: {reason}" for check, reason in reasons if reason is not None),
    )


def _checks(table: Table, address: Address, configured: HealthChecks) -> Iterator[Check]:
    uri, host, statuses = configured.http_uri or "/", configured.http_host, configured.http_status
    if configured.gue is not None:
        yield Check(CheckKind.GUE, address, configured.gue)
    if configured.gue is not None and configured.gue_size is not None:
        yield Check(CheckKind.GUE_SIZE, address, configured.gue, size=configured.gue_size)
    if configured.tcp is not None:
        yield Check(CheckKind.TCP, address, configured.tcp)
    if configured.http is not None:
        yield Check(CheckKind.HTTP, address, configured.http, None, uri, host, statuses)
    if configured.https is not None:
        yield Check(CheckKind.HTTPS, address, configured.https, None, uri, host, statuses, configured.https_verify)
    if configured.vip_tcp is not None:
        yield Check(CheckKind.VIP_TCP, address, configured.vip_tcp, table.vip(configured.vip_tcp))
    if configured.vip_http is not None:
        vip = table.vip(configured.vip_http)
        yield Check(CheckKind.VIP_HTTP, address, configured.vip_http, vip, uri, host, statuses)
