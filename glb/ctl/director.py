# SPDX-License-Identifier: MIT
"""`glbctl director`: run the daemon, drain it, show its status."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from glb.control.client import Client
from glb.ctl import complete
from glb.ctl.arguments import ChangeGroup, DirectorFile, Keep, Log, TableFile, ViewGroup
from glb.ctl.output import Format, Output, emit
from glb.ctl.status import render, statuses
from glb.ctl.targets import running_directors
from glb.daemon.log import LogFormat, set_up_logging
from glb.errors import ControlError
from glb.memory import collection_paused
from glb.printable import plural

app = typer.Typer(rich_markup_mode="markdown")


Interfaces = Annotated[
    list[str],
    typer.Option(
        "--iface",
        autocompletion=complete.host_interfaces,
        help="A network interface that receives packets; repeat it for further ones.",
    ),
]
OneInterface = Annotated[
    str | None,
    typer.Option("--iface", autocompletion=complete.interfaces, help="Only the director on this interface."),
]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait until no packets arrive.", min=0, max=3600)]
_ANSWER_SECONDS = 15.0  # for the answer, in addition to the timeout of the drain


@app.command()
def run(
    iface: Interfaces,
    config: DirectorFile,
    table: TableFile,
    keep: Keep = False,
    group: ChangeGroup = None,
    view_group: ViewGroup = None,
    log: Log = LogFormat.TEXT,
) -> None:
    """Run the director on one or more interfaces, in the foreground.

    It logs when it is ready, and notifies the service manager (sd_notify). It reloads the files on SIGHUP or SIGUSR1,
    and when one of them changes; an invalid file is reported and changes nothing. SIGTERM detaches the programs. If
    the daemon is killed, the datapath continues, and the next start takes it over without losing a packet.

    glbctl director run --iface eth0
    """
    if repeated := {name for name in iface if iface.count(name) > 1}:
        raise typer.BadParameter(f"--iface {', '.join(sorted(repeated))} is given twice")
    with collection_paused():
        from glb.control.access import Access
        from glb.director import daemon  # imported here: it takes most of a second

    set_up_logging(log)
    asyncio.run(daemon.run(iface, config, table, keep, Access.of_groups(group, view_group)))


@app.command()
def openapi() -> None:
    """Print the OpenAPI description (JSON) of the API on the daemon's control socket.

    glbctl director openapi
    """
    from glb.daemon.lane import Lane
    from glb.director.announcer import Announcer
    from glb.director.api import create_api  # imported here: other commands do not need a web framework
    from glb.director.health_duties import HealthFile
    from glb.health.monitor import Monitor
    from glb.health.state import SavedState

    health_file = HealthFile(Monitor(SavedState()), Path(os.devnull), Lane("none"))
    api = create_api(None, None, Announcer((), keep=lambda: False), health_file)
    typer.echo(json.dumps(api.openapi(), indent=2))


@app.command()
def drain(iface: OneInterface = None, timeout: Timeout = 30, output: Output = Format.TEXT) -> None:
    """Drain a running director, so that it can be stopped without cutting connections.

    Its VIPs are announced with the graceful shutdown community (RFC 8326), then withdrawn; then the command waits until
    no packets arrive. With routing "none", withdraw the VIPs yourself while it waits. The director announces nothing
    until `glbctl director announce`, which also cancels a drain in progress, or until its next start. Exit status 1 if
    packets still arrived at the end.

    glbctl director drain --timeout 60
    """
    client = Client(_socket(iface), timeout + _ANSWER_SECONDS)
    facts = client.post("/v1/routing/drain", {"timeout": timeout})
    emit(output, facts, _drained(facts))
    if not facts["quiet"]:
        raise typer.Exit(1)


@app.command()
def announce(iface: OneInterface = None, output: Output = Format.TEXT) -> None:
    """End a drain: the director announces the VIPs that it can serve.

    glbctl director announce
    """
    facts = Client(_socket(iface)).post("/v1/routing/announce")
    emit(output, facts, "announcing the VIPs that it can serve")


@app.command()
def status(
    iface: OneInterface = None,
    output: Output = Format.TEXT,
) -> None:
    """Show the directors of this host: daemon, datapath, tables, packets.

    glbctl director status --iface eth0
    """
    daemons = statuses("director", iface)
    emit(output, [daemon.facts() for daemon in daemons], render("director", daemons))


def _socket(iface: str | None) -> Path:
    """The control socket of the only running director, or of the one on an interface.

    Raises ControlError if there is none or more than one: draining all directors of a service would cut connections.
    """
    running = [report for report in running_directors() if iface in (None, report.interface)]
    if not running:
        where = f" on {iface}" if iface else ""
        raise ControlError(f"no director runs{where}; see `glbctl director status`")
    sockets = sorted({Path(report.socket) for report in running if report.socket})
    if len(sockets) > 1:
        names = ", ".join(sorted(report.interface for report in running))
        raise ControlError(f"several directors run on this host ({names}); choose one with --iface")
    return sockets[0]


def _drained(facts: dict[str, Any]) -> str:
    if facts["quiet"]:
        end = "no packets arrive any more"
    elif facts["called_off"]:
        end = "cancelled: the director announces again, or stops"
    else:
        end = "packets still arrive"
    return f"{end}, after {facts['seconds']:.1f} s and {plural(facts['packets'], 'packet')}"
