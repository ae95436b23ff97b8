# SPDX-License-Identifier: MIT
"""The status of a daemon and its datapath, for `director status` and `proxy status`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from glb.control.client import Client
from glb.ctl.datapaths import packets_of
from glb.ctl.output import grid
from glb.daemon.report import Report, TableSummary, local_reports
from glb.datapath.pins import pin_dir
from glb.errors import ControlError


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """A daemon's report, with the state of its process, its datapath and its routing.

    routing: the answer of a running director to `GET /v1/routing`. packets: by verdict; None if no program is attached.
    """

    report: Report
    running: bool
    routing: Mapping[str, Any] | None
    packets: Mapping[str, int] | None

    @property
    def pins(self) -> str:
        return str(pin_dir(self.report.interface))

    def facts(self) -> dict[str, Any]:
        return {
            **asdict(self.report),
            "unreached": self.report.unreached(),
            "running": self.running,
            "attached": self.packets is not None,
            "pins": self.pins,
            "routing": self.routing,
            "packets": self.packets or {},
        }


def statuses(role: str, interface: str | None) -> list[DaemonStatus]:
    """The daemons of a role in this network namespace, or the one on an interface."""
    reports = [report for report in local_reports(role) if interface in (None, report.interface)]
    return [
        DaemonStatus(
            report=report,
            running=report.process.is_alive(),
            routing=_routing_facts(report) if role == "director" else None,
            packets=packets_of(report),
        )
        for report in reports
    ]


def _routing_facts(report: Report) -> Mapping[str, Any] | None:
    """The routing status of a director; None if it does not answer."""
    if report.socket is None or not report.process.is_alive():
        return None
    try:
        facts: dict[str, Any] = Client(Path(report.socket)).get("/v1/routing")
    except ControlError:
        return None
    return facts


def _routing(facts: Mapping[str, Any]) -> RenderableType:
    """The routing status in lines."""
    last = facts.get("last_resort", ())  # a daemon of an older version reports none
    marked = (f"{prefix}{' (last resort)' * (prefix in last)}" for prefix in facts["announced"])
    announced = ", ".join(marked) or "nothing"
    text = Text(f"{facts['speaker']}, announces {announced}{', draining' if facts['draining'] else ''}")
    for session in facts["sessions"]:
        text.append(f"\n{session['peer']}  {session['state']}", "" if session["state"] == "established" else "red")
    for problem in (*(f"no session carries {prefix}" for prefix in facts["not_carried"]), facts["fault"]):
        if problem:
            text.append(f"\n{problem}", "red")
    return text


def render(role: str, daemons: Sequence[DaemonStatus]) -> RenderableType:
    """One paragraph for each daemon."""
    if not daemons:
        return f"no {role} on this host"
    return Group(*(part for daemon in daemons for part in (_paragraph(daemon), "")))


def _paragraph(status: DaemonStatus) -> RenderableType:
    report, packets = status.report, status.packets or {}
    lines = grid("", "")
    lines.show_header = False
    daemon = f"running, pid {report.process.pid}, since {report.started}" if status.running else "not running"
    lines.add_row("daemon", daemon if status.running else Text(daemon, style="red"))
    lines.add_row("datapath", f"attached, pinned in {status.pins}" if status.packets is not None else "not attached")
    if report.digest:
        lines.add_row("files", "\n".join(filter(None, (report.config_file, report.table_file))))
        lines.add_row("loaded", report.loaded)
    if report.tables_digest:
        lines.add_row("digest", f"{report.tables_digest[:12]} of the tables")
    if report.error:
        lines.add_row("refused", Text(report.error, style="red"))
    for line in report.warnings:
        lines.add_row("warning", Text(line, style="yellow"))
    if report.busy:
        lines.add_row("busy", Text(report.busy, style="yellow"))
    if report.checks_trouble:
        lines.add_row("checks", Text(f"cannot be made: {report.checks_trouble}", style="red"))
    if report.trouble:
        lines.add_row("trouble", Text(report.trouble, style="red"))
    if report.unreachable:
        refused = "\n".join(f"{address}  {why}" for address, why in report.unreachable.items())
        lines.add_row("no next hop", Text(refused, style="red"))
    if report.role == "proxy":
        lines.add_row("VIPs", _listed(report.vips))
        lines.add_row("handshakes", handshakes(packets))
    if report.role == "proxy" and status.running:
        lines.add_row("agent", _answering(report.agent, report.agent_trouble))
    for family, fault in report.return_paths.items():
        lines.add_row(f"return {family}", Text(f"lost {fault}", style="red") if fault else "route and next hop known")
    if status.running:
        lines.add_row("metrics", _answering(report.metrics, report.metrics_trouble))
    if report.mtu:
        paths = (f"{address}  {mtu}" for address, mtu in report.path_mtus.items())
        lines.add_row(
            "MTU",
            "\n".join((f"{report.mtu}, smaller on the paths to:" if report.path_mtus else str(report.mtu), *paths)),
        )
    for table in report.tables:
        lines.add_row("table", f"{table.name}, {table.depth} hops a row")
        lines.add_row("  binds", "\n".join(table.binds))
        lines.add_row("  backends", _backends(table, report))
    if status.routing and (status.routing["speaker"] != "none" or status.routing["draining"]):
        lines.add_row("routing", _routing(status.routing))
    counted = {name: count for name, count in packets.items() if count}
    lines.add_row("packets", "\n".join(f"{count:>12,}  {name}" for name, count in counted.items()) or "none yet")
    return Group(Text(f"{report.role} {report.interface}", style="bold"), lines)


def _backends(table: TableSummary, report: Report) -> RenderableType:
    """One line for each backend; red if it stays in rotation although its checks fail."""
    held = {entry.backend: entry.reason for entry in report.held if entry.table == table.name}
    lines = Text()
    for ip, state in table.backends.items():
        why = f", kept in rotation (hold_share), but its checks fail: {held[ip]}" if ip in held else ""
        lines.append("\n" if lines else "").append(f"{ip}  {state}{why}", "red" if why else "")
    if table.name in report.unreached():
        lines.append("\nno backend is reachable from this host; see `glbctl doctor`", "red")
    return lines


_MOST_LISTED = 16


def _listed(vips: Sequence[str]) -> RenderableType:
    if not vips:
        return Text("none: all tunnelled packets are dropped", style="red")
    further = len(vips) - _MOST_LISTED
    return "\n".join([*vips[:_MOST_LISTED], *([f"and {further} more"] if further > 0 else [])])


def handshakes(packets: Mapping[str, int]) -> RenderableType:
    """The share of SYNs that an ACK completed. Clients repeat SYNs, so a low share shows that answers do not reach
    clients, but not how many."""
    begun = packets.get("taken_syn", 0)
    if not begun:
        return "none yet"
    completed = min(begun, packets.get("taken_handshake", 0) + packets.get("taken_syncookie", 0))
    text = f"{completed:,} of {begun:,} SYNs completed by an ACK ({completed / begun:.0%})"
    return text if 2 * completed >= begun else Text(f"{text}; `glbctl explain taken_handshake`", style="yellow")


def _answering(places: Sequence[str], trouble: str | None) -> RenderableType:
    if trouble:
        return Text(f"not available: {trouble}", style="red")
    return f"listening on {', '.join(places)}" if places else "off"
