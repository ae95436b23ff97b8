# SPDX-License-Identifier: MIT
"""A daemon's status file: `glbctl ... status` shows it together with the state of the kernel.

One JSON file for each interface, `<interface>.status.json` in $GLB_RUN_DIR or /run/glb, rewritten at each change.
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
    """A loaded forwarding table in short."""

    name: str
    binds: tuple[str, ...]
    backends: dict[str, str]
    """State by address; ", unhealthy" follows the state of an unhealthy backend."""
    depth: int

    @property
    def taking(self) -> frozenset[str]:
        """The backends that are in the rows."""
        return frozenset(address for address, state in self.backends.items() if not state.startswith("inactive"))


@dataclass(frozen=True, slots=True)
class HeldBackend:
    """A backend that stays in rotation although its health checks fail (hold_share). reason: their last result."""

    table: str
    backend: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """The status of a daemon on one interface."""

    role: str
    interface: str
    process: ProcessId
    started: str
    table_file: str | None = None
    config_file: str | None = None
    socket: str | None = None
    """The path of the control socket."""
    digest: str | None = None
    """SHA-256 of the loaded files, the two of a director or the one of a proxy; shows whether they have changed."""
    tables_digest: str | None = None
    """The digest of the loaded tables. It is equal on all directors that have the same tables."""
    loaded: str | None = None
    load_seconds: float | None = None
    """Duration of the last load, from reading the files to the switch."""
    load_times: Durations = NONE_YET
    """Durations of all loads since the daemon's start."""
    health_times: Durations = NONE_YET
    """Durations of all changes of health: to rebuild the rows, and to switch."""
    rejected_digest: str | None = None
    """SHA-256 of files that were refused since; None once valid files are loaded."""
    error: str | None = None
    warnings: tuple[str, ...] = ()
    """Warnings about the loaded files."""
    tables: tuple[TableSummary, ...] = ()
    traffic: tuple[tuple[str, str, str, int], ...] = ()
    """Owners of entries in the map `traffic`: ("bind" or "backend", table, bind or address, entry)."""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """The reason by backend, for backends without a resolved next hop."""
    new_binds: tuple[tuple[str, str], ...] = ()
    """Binds, as (table, bind), that were added while this daemon ran, so that their first packet was counted."""
    mtu: int | None = None
    """The largest outer packet that a director sends, in bytes: the interface's MTU, or as configured."""
    path_mtus: Mapping[str, int] = field(default_factory=dict)
    """The same by backend, for paths with a smaller MTU by the route's `mtu` or a router's ICMP error."""
    held: tuple[HeldBackend, ...] = ()
    """Backends that are up only because of `hold_share`."""
    cut_off: tuple[str, ...] = ()
    """Tables whose backends all fail their health checks and are up only because of `hold_share`."""
    vips: tuple[str, ...] = ()
    """The addresses and networks to which the proxy delivers packets from the tunnel."""
    agent: tuple[str, ...] = ()
    """The addresses and ports on which the proxy's agent listens."""
    agent_trouble: str | None = None
    """The reason why it should listen but does not."""
    return_paths: Mapping[str, str] = field(default_factory=dict)
    """Of a proxy, by family of its VIPs ("ipv4", "ipv6"): why answers cannot reach clients; "" if they can."""
    metrics: tuple[str, ...] = ()
    """The addresses and ports on which the metrics exporter listens."""
    metrics_trouble: str | None = None
    """The reason why it should listen but does not."""
    checks_trouble: str | None = None
    """Why this host cannot make health checks at the moment; such checks are not counted."""
    busy: str | None = None
    """A load that takes unusually long; health and network changes are applied meanwhile."""
    trouble: str | None = None
    """Why the datapath cannot be updated at the moment, such as that the interface does not exist."""

    def write(self) -> None:
        """Replace the status file atomically. Raises OSError; then the old file stays."""
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
        """The tables of which this director reaches no backend: all checks fail, or no next hop is resolved."""
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
    """The time in UTC as ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_report(path: Path) -> Report:
    """Read a status file. Fields that an older daemon does not write get their defaults. Raises ReportError."""
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
    """Earlier versions list the addresses only."""
    return data if isinstance(data, dict) else dict.fromkeys(data, "no next hop is resolved")


def _durations(data: dict[str, Any] | None) -> Durations:
    return Durations(tuple(data["counts"]), data["total"]) if data else NONE_YET


def local_reports(role: str | None = None) -> list[Report]:
    """The reports of this network namespace's daemons, including daemons that exited without removing their file."""
    return [report for report in _all_reports() if role in (None, report.role) and not lives_elsewhere(report)]


def _all_reports() -> list[Report]:
    """Those of all network namespaces that share the directory of status files."""
    return [read_report(path) for path in sorted(run_dir().glob(f"*{_SUFFIX}"))]


def reports_here(interface: str | None = None) -> list[Report]:
    """The reports of the daemons in this network namespace, or of the one on an interface, in any namespace.

    The hosts of a lab are namespaces that share one directory of status files.
    """
    here = {name for _, name in socket.if_nameindex()}
    return [
        report
        for report in _all_reports()
        if (report.interface == interface if interface else report.interface in here or _lives_here(report))
    ]


def lives_elsewhere(report: Report) -> bool:
    """Whether the daemon runs in another network namespace that shares the directory of status files.

    False if this user may not read the namespace.
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
    """Raises OSError if the process has ended, or this user may not inspect it."""
    return Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net")
