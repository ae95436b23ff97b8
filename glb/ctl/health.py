# SPDX-License-Identifier: MIT
"""`glbctl backend list`, `history` and `set-health`: health as the running directors of this host see it."""

import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from glb.control.client import Client
from glb.ctl import complete
from glb.ctl.output import Format, Output, emit, grid
from glb.ctl.targets import running_directors
from glb.errors import GlbError

Name = Annotated[str, typer.Argument(metavar="TABLE", autocompletion=complete.tables, help="The table's name.")]
Address = Annotated[
    str, typer.Argument(metavar="ADDRESS", autocompletion=complete.backends, help="The backend's address.")
]
Iface = Annotated[
    str | None,
    typer.Option(
        "--iface",
        autocompletion=complete.interfaces,
        help="Only the director of this interface; else each of this host.",
    ),
]

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_STYLES = {"up": "green", "down": "red"}


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
    """Show each backend: state, health and since when, and what its checks found last.

    Health is the checks' word, unless it says held (so many backends fail at once that this is not believed), set (by
    `set-health`) or file (nothing is checked: what the forwarding table says).

    glbctl backend list web
    """
    daemons = _ask(iface, lambda client: client.get("/v1/health"))
    for daemon in daemons:
        daemon["backends"] = [backend for backend in daemon["backends"] if table in (None, backend["table"])]
    if table is not None and not any(daemon["backends"] for daemon in daemons):
        raise GlbError(f'no director of this host has a table "{table}"')
    emit(output, daemons, _per_director(daemons, _render_list))


def history_command(table: Name, address: Address, iface: Iface = None, output: Output = Format.TEXT) -> None:
    """Show how a backend's health has changed, and why: its last 64 changes.

    glbctl backend history web 10.0.0.11
    """
    daemons = _ask(iface, lambda client: client.get(_path(table, address)))
    emit(output, daemons, _per_director(daemons, _render_history))


def set_health_command(
    table: Name,
    address: Address,
    health: Annotated[HealthSetting, typer.Argument(help="up or down, whatever its checks say; auto: what they say.")],
    reason: Annotated[str, typer.Option("--reason", help="Why: it is shown with the backend.")] = "set by hand",
    iface: Iface = None,
    output: Output = Format.TEXT,
) -> None:
    """Set a backend's health, or leave it to its checks again (auto). It outlives reloads and restarts.

    glbctl backend set-health web 10.0.0.11 down --reason "disk change"
    """
    body = {"health": health.value, "reason": reason}
    daemons = _ask(iface, lambda client: client.put(_path(table, address), body))
    emit(output, daemons, _per_director(daemons, lambda daemon: _render_backends([daemon["now"]])))


def _path(table: str, address: str) -> str:
    return f"/v1/tables/{quote(table, safe='')}/backends/{address}/health"


def _ask(iface: str | None, question: Callable[[Client], Any]) -> list[dict[str, Any]]:
    """The answer of each director's daemon, with its interfaces. Raises ControlError, or GlbError if none runs."""
    sockets: dict[str, list[str]] = {}
    for report in running_directors():
        sockets.setdefault(str(report.socket), []).append(report.interface)
    chosen = {socket: interfaces for socket, interfaces in sockets.items() if iface is None or iface in interfaces}
    if not chosen:
        raise GlbError("no director runs on this host" + (f" on {iface}" if iface is not None else ""))
    return [{"interfaces": interfaces, **question(Client(Path(socket)))} for socket, interfaces in chosen.items()]


def _per_director(
    daemons: Sequence[dict[str, Any]], render: Callable[[dict[str, Any]], RenderableType]
) -> RenderableType:
    """What there is to say of each director, with its name if there are more of them."""
    if len(daemons) == 1:
        return render(daemons[0])
    parts = []
    for daemon in daemons:
        parts += [Text(f"director {', '.join(daemon['interfaces'])}", style="bold"), render(daemon), ""]
    return Group(*parts[:-1])


def _render_list(daemon: dict[str, Any]) -> RenderableType:
    held = [
        Text(f"{name}: so many backends fail that it is not believed: health is held", style="red bold")
        for name in daemon["held"]
    ]
    return Group(*held, _render_backends(daemon["backends"]))


def _render_backends(backends: Sequence[dict[str, Any]]) -> RenderableType:
    lines = grid("TABLE", "BACKEND", "STATE", "HEALTH", "FOR", "WHY", "CHECKS")
    for backend in backends:
        lines.add_row(
            backend["table"],
            backend["address"],
            backend["state"],
            _health(backend["healthy"], backend["source"]),
            _age(backend["since"]),
            backend["reason"] or "-",
            _checks(backend),
        )
    return lines


def _render_history(daemon: dict[str, Any]) -> RenderableType:
    if not daemon["changes"]:
        return "nothing has changed yet"
    lines = grid("WHEN", "HEALTH", "WHY")
    for change in daemon["changes"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change["when"]))
        lines.add_row(when, _health(change["healthy"], change["source"]), change["reason"])
    return lines


def _health(healthy: bool | None, source: str | None) -> Text:
    if healthy is None:
        return Text("-")
    word = "up" if healthy else "down"
    return Text(word if source == "checks" else f"{word} ({source})", style=_STYLES[word])


def _checks(backend: dict[str, Any]) -> str:
    made = [f"{check['check']}: {check['found']}" for check in backend["checks"]]
    return "; ".join(made + [f"not made: {problem}" for problem in backend["not_made"]]) or "-"


def _age(since: float | None) -> str:
    """Such as "3 min"."""
    if since is None:
        return "-"
    seconds = max(time.time() - since, 0)
    return next((f"{seconds // size:.0f} {unit}" for unit, size in _UNITS if seconds >= size), "0 s")
