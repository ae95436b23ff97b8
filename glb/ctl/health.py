# SPDX-License-Identifier: MIT
"""`glbctl backend list`, `history` and `set-health`: the health of backends in the running directors of this host."""

import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.text import Text

from glb.control.client import Client
from glb.ctl import complete
from glb.ctl.output import Format, Output, emit, grid, warn
from glb.ctl.targets import running_directors
from glb.errors import GlbError
from glb.health.report import BackendHealthReport
from glb.health.state import HealthChange
from glb.printable import plural

Name = Annotated[str, typer.Argument(metavar="TABLE", autocompletion=complete.tables, help="The table's name.")]
Address = Annotated[
    str, typer.Argument(metavar="ADDRESS", autocompletion=complete.backends, help="The backend's address.")
]
Iface = Annotated[
    str | None,
    typer.Option(
        "--iface",
        autocompletion=complete.interfaces,
        help="Only the director on this interface; default: all of this host.",
    ),
]

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_STYLES = {"up": "green", "down": "red"}

_reports = TypeAdapter(list[BackendHealthReport])
_changes = TypeAdapter(list[HealthChange])


class HealthSetting(StrEnum):
    """The choices of `set-health`."""

    UP = "up"
    DOWN = "down"
    AUTO = "auto"


def list_command(
    table: Annotated[
        str | None,
        typer.Argument(metavar="[TABLE]", autocompletion=complete.tables, help="Only the table of this name."),
    ] = None,
    iface: Iface = None,
    output: Output = Format.TEXT,
) -> None:
    """Show each backend: state, health and its duration, and the last results of its checks.

    Health comes from the checks, unless marked held (too many backends fail at once, so the failed ones stay up), set
    (by `set-health`) or file (no checks: health from the forwarding table).

    glbctl backend list web
    """
    daemons = _request(iface, lambda client: client.get("/v1/health"))
    for daemon in daemons:
        daemon["backends"] = [backend for backend in daemon["backends"] if table in (None, backend["table"])]
    if table is not None and not any(daemon["backends"] for daemon in daemons):
        raise GlbError(f'no director of this host has a table "{table}"')
    emit(output, daemons, _per_director(daemons, _render_list))


def history_command(table: Name, address: Address, iface: Iface = None, output: Output = Format.TEXT) -> None:
    """Show the last 64 changes of a backend's health, with their reasons.

    glbctl backend history web 10.0.0.11
    """
    daemons = _request(iface, lambda client: client.get(_path(table, address)))
    emit(output, daemons, _per_director(daemons, _render_history))


def set_health_command(
    table: Name,
    address: Address,
    health: Annotated[HealthSetting, typer.Argument(help="up or down overrides the checks; auto follows them.")],
    reason: Annotated[str, typer.Option("--reason", help="The reason, shown with the backend.")] = "set by hand",
    iface: Iface = None,
    output: Output = Format.TEXT,
) -> None:
    """Override a backend's health, or return it to its checks (auto). The override outlives reloads and restarts.

    A backend that is taken down stays in its rows. Where none of a row's backends can take new connections, one from
    outside takes the last place: a warning reports the rows whose connections that cuts, or may cut.

    glbctl backend set-health web 10.0.0.11 down --reason "disk change"
    """
    body = {"health": health.value, "reason": reason}
    daemons = _request(iface, lambda client: client.put(_path(table, address), body))
    for finding in _findings_of(daemons):
        warn(
            f"{finding['table']}: {finding['severity']} connections at {finding['backend']} in "
            f"{plural(finding['rows'], 'row')} of 65,536: {finding['reason']}; `glbctl backend set-health {table} "
            f"{address} auto` reverts it"
        )
    emit(output, daemons, _per_director(daemons, lambda daemon: _render_backends([daemon["now"]])))


def _findings_of(daemons: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each once: directors with the same tables find the same. A daemon from before an upgrade reports none."""
    found: list[dict[str, Any]] = []
    for daemon in daemons:
        found += [finding for finding in daemon.get("findings", ()) if finding not in found]
    return found


def _path(table: str, address: str) -> str:
    return f"/v1/tables/{quote(table, safe='')}/backends/{address}/health"


def _request(iface: str | None, call: Callable[[Client], Any]) -> list[dict[str, Any]]:
    """Send a request to each director's daemon; return the answers with the interfaces.

    Raises ControlError, or GlbError if no director runs."""
    sockets: dict[str, list[str]] = {}
    for report in running_directors():
        sockets.setdefault(str(report.socket), []).append(report.interface)
    chosen = {socket: interfaces for socket, interfaces in sockets.items() if iface is None or iface in interfaces}
    if not chosen:
        raise GlbError("no director runs on this host" + (f" on {iface}" if iface is not None else ""))
    return [{"interfaces": interfaces, **call(Client(Path(socket)))} for socket, interfaces in chosen.items()]


def _per_director(
    daemons: Sequence[dict[str, Any]], render: Callable[[dict[str, Any]], RenderableType]
) -> RenderableType:
    """The output of each director, under its name if there are several."""
    if len(daemons) == 1:
        return render(daemons[0])
    parts = []
    for daemon in daemons:
        parts += [Text(f"director {', '.join(daemon['interfaces'])}", style="bold"), render(daemon), ""]
    return Group(*parts[:-1])


def _render_list(daemon: dict[str, Any]) -> RenderableType:
    held = [
        Text(f"{name}: too many backends fail at once; newly failed backends stay up (hold_share)", style="red bold")
        for name in daemon["held"]
    ]
    return Group(*held, _render_backends(daemon["backends"]))


def _render_backends(backends: Any) -> RenderableType:
    lines = grid("TABLE", "BACKEND", "STATE", "HEALTH", "FOR", "WHY", "CHECKS")
    for backend in _reports.validate_python(backends):
        lines.add_row(
            backend.table,
            backend.address,
            backend.state,
            _health(backend.healthy, backend.source),
            _age(backend.since),
            backend.reason or "-",
            _checks(backend),
        )
    return lines


def _render_history(daemon: dict[str, Any]) -> RenderableType:
    if not daemon["changes"]:
        return "no changes yet"
    lines = grid("WHEN", "HEALTH", "WHY")
    for change in _changes.validate_python(daemon["changes"]):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change.when))
        lines.add_row(when, _health(change.healthy, change.source), change.reason)
    return lines


def _health(healthy: bool | None, source: str | None) -> Text:
    if healthy is None:
        return Text("-")
    word = "up" if healthy else "down"
    return Text(word if source == "checks" else f"{word} ({source})", style=_STYLES[word])


def _checks(backend: BackendHealthReport) -> str:
    made = [f"{check.check}: {check.found}" for check in backend.checks]
    return "; ".join(made + [f"not made: {problem}" for problem in backend.not_made]) or "-"


def _age(since: float | None) -> str:
    """For example "3 min"."""
    if since is None:
        return "-"
    seconds = max(time.time() - since, 0)
    return next((f"{seconds // size:.0f} {unit}" for unit, size in _UNITS if seconds >= size), "0 s")
