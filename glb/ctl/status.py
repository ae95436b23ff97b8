# SPDX-License-Identifier: MIT
"""The status of a daemon and its datapath, for `director status` and `proxy status`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from glb.control.client import Client
from glb.ctl.datapaths import packets_of
from glb.ctl.output import grid
from glb.daemon.report import Report, local_reports
from glb.datapath.pins import pin_dir
from glb.errors import ControlError


def facts_of_role(role: str, interface: str | None) -> list[dict[str, Any]]:
    """The daemons of a role in this network namespace, or the one on an interface."""
    return [_facts(report) for report in local_reports(role) if interface in (None, report.interface)]


def _facts(report: Report) -> dict[str, Any]:
    packets = packets_of(report)
    return {
        **asdict(report),
        "unreached": report.unreached(),
        "running": report.process.is_alive(),
        "attached": packets is not None,
        "pins": str(pin_dir(report.interface)),
        "routing": _routing_facts(report) if report.role == "director" else None,
        "packets": packets or {},
    }


def _routing_facts(report: Report) -> dict[str, Any] | None:
    """The routing status of a director; None if it does not answer."""
    if report.socket is None or not report.process.is_alive():
        return None
    try:
        facts: dict[str, Any] = Client(Path(report.socket)).get("/v1/routing")
    except ControlError:
        return None
    return facts


def _routing(facts: dict[str, Any]) -> RenderableType:
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


def render(role: str, daemons: list[dict[str, Any]]) -> RenderableType:
    """One paragraph for each daemon."""
    if not daemons:
        return f"no {role} on this host"
    return Group(*(part for facts in daemons for part in (_paragraph(facts), "")))


def _paragraph(facts: dict[str, Any]) -> RenderableType:
    lines = grid("", "")
    lines.show_header = False
    daemon = f"running, pid {facts['process']['pid']}, since {facts['started']}" if facts["running"] else "not running"
    lines.add_row("daemon", daemon if facts["running"] else Text(daemon, style="red"))
    lines.add_row("datapath", f"attached, pinned in {facts['pins']}" if facts["attached"] else "not attached")
    if facts["digest"]:
        lines.add_row("files", "\n".join(filter(None, (facts["config_file"], facts["table_file"]))))
        lines.add_row("loaded", facts["loaded"])
    if facts["tables_digest"]:
        lines.add_row("digest", f"{facts['tables_digest'][:12]} of the tables")
    if facts["error"]:
        lines.add_row("refused", Text(facts["error"], style="red"))
    for line in facts["warnings"]:
        lines.add_row("warning", Text(line, style="yellow"))
    if facts["busy"]:
        lines.add_row("busy", Text(facts["busy"], style="yellow"))
    if facts["checks_trouble"]:
        lines.add_row("checks", Text(f"cannot be made: {facts['checks_trouble']}", style="red"))
    if facts["trouble"]:
        lines.add_row("trouble", Text(facts["trouble"], style="red"))
    if facts["unreachable"]:
        refused = "\n".join(f"{address}  {why}" for address, why in facts["unreachable"].items())
        lines.add_row("no next hop", Text(refused, style="red"))
    if facts["role"] == "proxy":
        lines.add_row("VIPs", _listed(facts["vips"]))
        lines.add_row("handshakes", handshakes(facts["packets"]))
    if facts["role"] == "proxy" and facts["running"]:
        lines.add_row("agent", _answering(facts["agent"], facts["agent_trouble"]))
    for family, fault in facts["return_paths"].items():
        lines.add_row(f"return {family}", Text(f"lost {fault}", style="red") if fault else "route and next hop known")
    if facts["running"]:
        lines.add_row("metrics", _answering(facts["metrics"], facts["metrics_trouble"]))
    if facts["mtu"]:
        paths = (f"{address}  {mtu}" for address, mtu in facts["path_mtus"].items())
        lines.add_row(
            "MTU",
            "\n".join(
                (f"{facts['mtu']}, smaller on the paths to:" if facts["path_mtus"] else str(facts["mtu"]), *paths)
            ),
        )
    for table in facts["tables"]:
        lines.add_row("table", f"{table['name']}, {table['depth']} hops a row")
        lines.add_row("  binds", "\n".join(table["binds"]))
        lines.add_row("  backends", _backends(table, facts))
    if facts["routing"] and (facts["routing"]["speaker"] != "none" or facts["routing"]["draining"]):
        lines.add_row("routing", _routing(facts["routing"]))
    packets = {name: count for name, count in facts["packets"].items() if count}
    lines.add_row("packets", "\n".join(f"{count:>12,}  {name}" for name, count in packets.items()) or "none yet")
    return Group(Text(f"{facts['role']} {facts['interface']}", style="bold"), lines)


def _backends(table: dict[str, Any], facts: dict[str, Any]) -> RenderableType:
    """One line for each backend; red if it stays in rotation although its checks fail."""
    held = {entry["backend"]: entry["reason"] for entry in facts["held"] if entry["table"] == table["name"]}
    lines = Text()
    for ip, state in table["backends"].items():
        why = f", kept in rotation (hold_share), but its checks fail: {held[ip]}" if ip in held else ""
        lines.append("\n" if lines else "").append(f"{ip}  {state}{why}", "red" if why else "")
    if table["name"] in facts["unreached"]:
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
