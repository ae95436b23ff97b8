# SPDX-License-Identifier: MIT
"""`glbctl director`."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from glb.control.client import Client
from glb.ctl import complete
from glb.ctl.arguments import DirectorFile, Keep, Log, TableFile
from glb.ctl.output import Format, Output, emit
from glb.ctl.status import facts_of_role, render
from glb.ctl.targets import running_directors
from glb.daemon.log import LogFormat, set_up_logging
from glb.errors import ControlError

app = typer.Typer(rich_markup_mode="markdown")


Interfaces = Annotated[
    list[str],
    typer.Option(
        "--iface",
        autocompletion=complete.host_interfaces,
        help="A network interface that packets come in by; again for each further one.",
    ),
]
Group = Annotated[
    str | None,
    typer.Option("--group", help="A group whose members may use the control socket, beside root."),
]
OneInterface = Annotated[
    str | None,
    typer.Option("--iface", autocompletion=complete.interfaces, help="Only the director of this interface."),
]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds that each director may take.", min=0, max=3600)]
_ANSWER_SECONDS = 15.0  # beyond the time that a drain itself may take


@app.command()
def run(
    iface: Interfaces,
    config: DirectorFile,
    table: TableFile,
    keep: Keep = False,
    group: Group = None,
    log: Log = LogFormat.TEXT,
) -> None:
    """Run the director on one or more interfaces, in the foreground.

    It is ready when it says so, to the service manager as well (sd_notify). SIGHUP, or a change of one of the files,
    loads them anew; a bad file is reported and changes nothing. SIGTERM detaches it cleanly. If it is killed, the
    datapath goes on, and the next start takes its place without losing a packet.

    glbctl director run --iface eth0
    """
    if repeated := {name for name in iface if iface.count(name) > 1}:
        raise typer.BadParameter(f"--iface {', '.join(sorted(repeated))} is there twice")
    from glb.director import daemon  # here, since it takes most of a second

    set_up_logging(log)
    asyncio.run(daemon.run(iface, config, table, keep, group))


@app.command()
def openapi() -> None:
    """Print the description (OpenAPI, JSON) of the API that the daemon serves on its control socket.

    glbctl director openapi
    """
    from glb.daemon.lane import Lane
    from glb.director.announcer import Announcer
    from glb.director.api import create_api  # here, since most commands do without a web framework
    from glb.director.health_duties import HealthFile
    from glb.health.monitor import Monitor
    from glb.health.state import SavedState

    health_file = HealthFile(Monitor(SavedState()), Path(os.devnull), Lane("none"))
    api = create_api(None, None, Announcer((), keep=lambda: False), health_file)
    typer.echo(json.dumps(api.openapi(), indent=2))


@app.command()
def drain(iface: OneInterface = None, timeout: Timeout = 30, output: Output = Format.TEXT) -> None:
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


@app.command()
def announce(iface: OneInterface = None, output: Output = Format.TEXT) -> None:
    """End a drain: the director announces again what it can serve.

    glbctl director announce
    """
    facts = Client(_socket(iface)).post("/v1/routing/announce")
    emit(output, facts, "announces again what it can serve")


@app.command()
def status(
    iface: OneInterface = None,
    output: Output = Format.TEXT,
) -> None:
    """Show the directors of this host: daemon, datapath, tables, packets.

    glbctl director status --iface eth0
    """
    facts = facts_of_role("director", iface)
    emit(output, facts, render("director", facts))


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
