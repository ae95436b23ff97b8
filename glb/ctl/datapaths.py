# SPDX-License-Identifier: MIT
"""The packets of this host's datapaths, for commands: read from the pinned maps, or from the daemons' control sockets
where only root may read the maps."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from glb.control.client import Client
from glb.daemon.report import Report, local_reports, read_report, report_path
from glb.datapath.attachment import is_attached
from glb.datapath.counters import read_counters
from glb.datapath.pins import attached_interfaces
from glb.errors import DatapathError, NotAllowedError
from glb.metrics.sample import Sample, read_sample
from glb.metrics.stats import read_stats

_ANSWER_SECONDS = 10.0


def interfaces_with_datapath() -> list[str]:
    """The interfaces that a program is pinned for; for others than root, those of the running daemons."""
    try:
        return attached_interfaces()
    except PermissionError:
        return sorted(report.interface for report in _running())


def stats_of(interface: str | None) -> list[dict[str, Any]]:
    """`glb.metrics.stats.Stats` of the interface, or of all, as JSON.

    Raises DatapathError where no program is attached, ReportError, ControlError.
    """
    try:
        return [asdict(read_stats(name)) for name in ([interface] if interface else attached_interfaces())]
    except (PermissionError, NotAllowedError):
        names = [interface] if interface else sorted(report.interface for report in _running())
        return [_stats_by_daemon(name) for name in names]


def sample_of(interface: str) -> Sample:
    """What `glbctl top` compares. Raises as `stats_of`."""
    try:
        return read_sample(interface)
    except NotAllowedError:
        return sample_from(read_report(report_path(interface)), _stats_by_daemon(interface))


def packets_of(report: Report) -> dict[str, int] | None:
    """The packets of a daemon's interface by verdict; None if no program is attached, or the daemon does not run and
    this user may not read the maps."""
    try:
        return read_counters(report.interface, report.role) if is_attached(report.interface) else None
    except NotAllowedError:
        if not report.process.is_alive():
            return None
        packets: dict[str, int] = _stats_by_daemon(report.interface)["packets"]
        return packets


def sample_from(report: Report, stats: Mapping[str, Any]) -> Sample:
    """The sample of an interface from its daemon's report and its statistics as JSON."""
    traffic = {
        (kind, row["table"], row[kind]): (row["packets"], row["bytes"])
        for kind in ("bind", "backend")
        for row in stats[f"{kind}s"]
    }
    forwards = {IPv4Address(row["next_hop"]): row["packets"] for row in stats["next_hops"]}
    return Sample(report, attached=True, packets=stats["packets"], traffic=traffic, forwards=forwards)


def _stats_by_daemon(interface: str) -> dict[str, Any]:
    for report in _running():
        if report.interface == interface:
            answers: Sequence[dict[str, Any]] = Client(Path(str(report.socket)), _ANSWER_SECONDS).get("/v1/stats")
            for answer in answers:
                if answer["interface"] == interface:
                    return answer
    raise DatapathError(f"{interface}: no daemon runs there, and only root may read a datapath without one")


def _running() -> list[Report]:
    return [report for report in local_reports() if report.socket and report.process.is_alive()]
