# SPDX-License-Identifier: MIT
"""`glbctl director drain` and `announce`: a director leaves the traffic, and comes back to it."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from glb.control.client import Client
from glb.ctl import complete
from glb.ctl.output import Format, Output, emit
from glb.ctl.takeover import running_directors
from glb.daemon.report import Report
from glb.errors import ControlError

_ANSWER_SECONDS = 15.0  # beyond the time that a drain itself may take

Interface = Annotated[
    str | None, typer.Option("--iface", autocompletion=complete.interfaces, help="Only the director of this interface.")
]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds that each director may take.", min=0, max=3600)]


def drain(iface: Interface = None, timeout: Timeout = 30, output: Output = Format.TEXT) -> None:
    """Let a running director leave the traffic: no connection is cut, and it may then be stopped.

    Its VIPs are announced with the graceful shutdown community (RFC 8326), then withdrawn; then its packets are
    counted until none comes. Where routing is the operator's ("none"), withdraw the VIPs yourself: it waits and
    counts. The director goes on, announcing nothing, until `glbctl director announce`, which also calls off a drain
    that is still on, or its next start. Exit status 1 if packets still came at the end.

    glbctl director drain --timeout 60
    """
    client = Client(_socket(iface), timeout + _ANSWER_SECONDS)
    facts = client.post("/v1/routing/drain", {"timeout": timeout})
    emit(output, facts, _drained(facts))
    if not facts["quiet"]:
        raise typer.Exit(1)


def announce(iface: Interface = None, output: Output = Format.TEXT) -> None:
    """End a drain: the director announces again what it can serve.

    glbctl director announce
    """
    facts = Client(_socket(iface)).post("/v1/routing/announce")
    emit(output, facts, "announces again what it can serve")


def routing_facts(report: Report) -> dict[str, Any] | None:
    """What a daemon says of its routing; None of one that does not answer."""
    if report.socket is None or not report.process.is_alive():
        return None
    try:
        facts: dict[str, Any] = Client(Path(report.socket)).get("/v1/routing")
    except ControlError:
        return None
    return facts


def render_routing(facts: dict[str, Any]) -> RenderableType:
    """The lines of `glbctl director status`."""
    last = facts.get("last_resort", ())  # a daemon that was started before an upgrade reports none
    marked = (f"{prefix}{' (last resort)' * (prefix in last)}" for prefix in facts["announced"])
    announced = ", ".join(marked) or "nothing"
    text = Text(f"{facts['speaker']}, announces {announced}{', draining' if facts['draining'] else ''}")
    for session in facts["sessions"]:
        text.append(f"\n{session['peer']}  {session['state']}", "" if session["state"] == "established" else "red")
    for problem in (*(f"no session carries {prefix}" for prefix in facts["not_carried"]), facts["fault"]):
        if problem:
            text.append(f"\n{problem}", "red")
    return text


def _socket(iface: str | None) -> Path:
    """The control socket of the running director, or of the interface's.

    Raises ControlError if there is none, or several: to drain all of a service's directors would cut its connections.
    """
    running = [report for report in running_directors() if iface in (None, report.interface)]
    if not running:
        where = f" on {iface}" if iface else ""
        raise ControlError(f"no director runs{where}: `glbctl director status` tells what there is")
    sockets = sorted({Path(report.socket) for report in running if report.socket})
    if len(sockets) > 1:
        names = ", ".join(sorted(report.interface for report in running))
        raise ControlError(f"several directors run on this host ({names}): name one by --iface")
    return sockets[0]


def _drained(facts: dict[str, Any]) -> str:
    if facts["quiet"]:
        end = "no packet comes any more"
    elif facts["called_off"]:
        end = "called off: the director is to announce again, or to stop"
    else:
        end = "packets still come"
    return f"{end}, after {facts['seconds']:.1f} s and {facts['packets']:,} packets"
