# SPDX-License-Identifier: MIT
"""The counters of one interface at one moment, from the pinned maps and the daemon's status file.

Reading does not affect the datapath.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from glb.daemon.report import Report, read_report, report_path
from glb.datapath.attachment import is_attached
from glb.datapath.counters import read_counters, read_forwards, read_pinned_traffic
from glb.datapath.generation import TrafficOwner


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of one interface. packets: by verdict. traffic: packets and bytes by bind and backend (director).
    forwards: forwarded packets by next hop (proxy)."""

    report: Report
    attached: bool
    packets: Mapping[str, int] = field(default_factory=dict)
    traffic: Mapping[TrafficOwner, tuple[int, int]] = field(default_factory=dict)
    forwards: Mapping[IPv4Address, int] = field(default_factory=dict)


def read_sample(interface: str) -> Sample:
    """Raises ReportError or DatapathError."""
    report = read_report(report_path(interface))
    if not is_attached(interface):
        return Sample(report, attached=False)
    entries = {(kind, table, name): entry for kind, table, name, entry in report.traffic}
    return Sample(
        report,
        attached=True,
        packets=read_counters(interface, report.role),
        traffic=read_pinned_traffic(interface, entries) if entries else {},
        forwards=read_forwards(interface) if report.role == "proxy" else {},
    )
