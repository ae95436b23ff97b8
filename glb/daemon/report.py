# SPDX-License-Identifier: MIT
"""A daemon's report of itself: what `glbctl ... status` shows beside what it finds in the kernel.

One JSON file a daemon, `<interface>.status.json` in $GLB_RUN_DIR or /run/glb, written anew at each change.
"""

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glb.daemon.durations import NONE_YET, Durations
from glb.daemon.process import ProcessId
from glb.errors import ReportError
from glb.paths import run_dir

_SUFFIX = ".status.json"


@dataclass(frozen=True, slots=True)
class TableSummary:
    """What a loaded forwarding table holds, in numbers a person checks at a glance."""

    name: str
    binds: tuple[str, ...]
    backends: dict[str, str]
    """Address to state, with "unhealthy" behind it where that is so."""
    depth: int

    @property
    def taking(self) -> frozenset[str]:
        """The backends that are in the rows."""
        return frozenset(address for address, state in self.backends.items() if not state.startswith("inactive"))


@dataclass(frozen=True, slots=True)
class HeldBackend:
    """A backend that is kept in rotation although its health checks fail (hold_share), and what they found last."""

    table: str
    backend: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a daemon says of itself."""

    role: str
    interface: str
    process: ProcessId
    started: str
    table_file: str | None = None
    config_file: str | None = None
    socket: str | None = None
    """Where the daemon's API listens."""
    digest: str | None = None
    """SHA-256 of the files as they were last loaded, a director's two or the proxy's one: by it a change is seen."""
    tables_digest: str | None = None
    """The digest of the tables that are loaded, the same on all directors that have the same tables."""
    loaded: str | None = None
    load_seconds: float | None = None
    """How long the last load took, from reading the files to the switch."""
    load_times: Durations = NONE_YET
    """The same of each load since the daemon's start."""
    health_times: Durations = NONE_YET
    """How long it took to take over each change of health: to build the rows anew, and to switch."""
    rejected_digest: str | None = None
    """The same of files that were refused since; None once good ones are loaded."""
    error: str | None = None
    warnings: tuple[str, ...] = ()
    """What the files that are loaded cannot do as it seems to be meant."""
    tables: tuple[TableSummary, ...] = ()
    traffic: tuple[tuple[str, str, str, int], ...] = ()
    """Which entry of the map `traffic` counts for whom: ("bind" or "backend", table, bind or address, entry)."""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """Backends to which no next hop is known, and why."""
    new_binds: tuple[tuple[str, str], ...] = ()
    """Binds, as (table, bind), that were added while this daemon ran, and so have been counted from their first packet
    on."""
    mtu: int | None = None
    """Bytes of outer packet that a director sends at most: the interface's MTU, or as configured."""
    path_mtus: Mapping[str, int] = field(default_factory=dict)
    """The same for backends whose path takes less, by the route's `mtu` or by what a router said."""
    held: tuple[HeldBackend, ...] = ()
    """Backends that are healthy by `hold_share` alone."""
    cut_off: tuple[str, ...] = ()
    """Tables whose backends all fail their health checks, so that hold_share alone keeps any up."""
    vips: tuple[str, ...] = ()
    """The addresses and networks that the proxy's tunnel leads to."""
    agent: tuple[str, ...] = ()
    """Where the proxy's agent answers: addresses with their port."""
    agent_trouble: str | None = None
    """Why it does not, where it is to."""
    return_paths: Mapping[str, str] = field(default_factory=dict)
    """Of a proxy, by family of its VIPs ("ipv4", "ipv6"): what keeps answers from clients; "" if nothing does."""
    metrics: tuple[str, ...] = ()
    """Where the metrics exporter answers by TCP: addresses with their port."""
    metrics_trouble: str | None = None
    """Why it does not, where it is to."""
    checks_trouble: str | None = None
    """What this host lacks or forbids, for which health checks cannot be made and are not counted just now."""
    busy: str | None = None
    """What the daemon has been loading for unusually long; it follows health and the network meanwhile."""
    trouble: str | None = None
    """What keeps the datapath from its work just now, such as that the interface is gone."""

    def write(self) -> None:
        """Replace the daemon's report. A reader sees the old one or the new one. Raises OSError; then the old one
        stays."""
        path = report_path(self.interface)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(asdict(self), indent=2) + "\n")
            fresh.rename(path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(path)) from error

    def unreached(self) -> tuple[str, ...]:
        """The tables of which this director reaches no backend: all checks fail, or no next hop is known."""
        return tuple(
            table.name
            for table in self.tables
            if table.name in self.cut_off or (table.taking and table.taking.issubset(self.unreachable))
        )

    def remove(self) -> None:
        report_path(self.interface).unlink(missing_ok=True)

    def changed(self, **changes: Any) -> "Report":
        return replace(self, **changes)


def socket_path(interface: str) -> Path:
    """The control socket of the daemon whose first interface this is."""
    return run_dir() / f"{interface}.sock"


def report_path(interface: str) -> Path:
    return run_dir() / f"{interface}{_SUFFIX}"


def now() -> str:
    """The time as reports give it: UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_report(path: Path) -> Report:
    """A daemon that was started before an upgrade does not tell all that there is. Raises ReportError."""
    try:
        data = json.loads(path.read_text())
        data["process"] = ProcessId(**data["process"])
        data["tables"] = tuple(TableSummary(**{**table, "binds": tuple(table["binds"])}) for table in data["tables"])
        data["unreachable"] = _causes(data["unreachable"])
        data["traffic"] = tuple(tuple(entry) for entry in data["traffic"])
        data["new_binds"] = tuple(tuple(bind) for bind in data.get("new_binds", ()))
        for name in ("load_times", "health_times"):
            data[name] = _durations(data.get(name))
        data["held"] = tuple(HeldBackend(**held) for held in data.get("held", ()))
        for name in ("agent", "metrics", "cut_off", "warnings", "vips"):
            data[name] = tuple(data.get(name, ()))
        return Report(**data)
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ReportError(f"{path}: not a report of this version of glb: {error}") from error


def _causes(data: dict[str, str] | list[str]) -> dict[str, str]:
    """Earlier versions list the addresses alone."""
    return data if isinstance(data, dict) else dict.fromkeys(data, "no next hop is known")


def _durations(data: dict[str, Any] | None) -> Durations:
    return Durations(tuple(data["counts"]), data["total"]) if data else NONE_YET


def all_reports(role: str | None = None) -> list[Report]:
    """The reports of this host's daemons, those that have ended without removing theirs included."""
    reports = [read_report(path) for path in sorted(run_dir().glob(f"*{_SUFFIX}"))]
    return [report for report in reports if role in (None, report.role)]


def reports_here(interface: str | None = None) -> list[Report]:
    """The reports of the daemons of this network namespace, or of the one of an interface, there or not.

    A lab's hosts share a folder of reports, each being a namespace of its own.
    """
    here = {name for _, name in socket.if_nameindex()}
    return [
        report
        for report in all_reports()
        if (report.interface == interface if interface else report.interface in here or _lives_here(report))
    ]


def lives_elsewhere(report: Report) -> bool:
    """Whether the daemon runs in another network namespace, one that shares the directory of reports.

    False where this user may not know.
    """
    try:
        return report.process.is_alive() and not _is_in_this_namespace(report.process.pid)
    except OSError:
        return False


def _lives_here(report: Report) -> bool:
    try:
        return _is_in_this_namespace(report.process.pid)
    except OSError:
        return False


def _is_in_this_namespace(pid: int) -> bool:
    """Raises OSError if the process has ended, or this user may not look at it."""
    return Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net")
