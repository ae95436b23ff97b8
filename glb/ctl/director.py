# SPDX-License-Identifier: MIT
"""`glbctl director`."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from glb.ctl import complete
from glb.ctl.options import ConfigFile, Keep, Log, TableFile
from glb.ctl.output import Format, Output, emit
from glb.ctl.routing import announce, drain
from glb.ctl.status import facts_of_role, render
from glb.daemon.log import LogFormat, set_up_logging

app = typer.Typer(help="The director: takes clients' packets and tunnels them to the proxies.", no_args_is_help=True)


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


@app.command()
def run(
    iface: Interfaces,
    config: ConfigFile,
    table: TableFile,
    keep: Keep = False,
    group: Group = None,
    log: Log = LogFormat.TEXT,
) -> None:
    """Run the director on one or more interfaces, in the foreground.

    It is ready when it says so, to the service manager as well (sd_notify). SIGHUP, or a change of one of the files,
    loads them anew; a bad file is reported and changes nothing. SIGTERM detaches it cleanly. If it is killed, the
    datapath goes on, and the next start takes its place without losing a packet.

    glbctl director run --iface eth0 --config /etc/glb/director.conf --table /etc/glb/forwarding_table.json
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
    from glb.director.health import Keeper
    from glb.health.monitor import Monitor
    from glb.health.state import SavedState

    keeper = Keeper(Monitor(SavedState()), Path(os.devnull), Lane("none"))
    api = create_api(None, None, Announcer((), keep=False), keeper)
    typer.echo(json.dumps(api.openapi(), indent=2))


app.command()(drain)
app.command()(announce)


@app.command()
def status(
    iface: Annotated[
        str | None,
        typer.Option("--iface", autocompletion=complete.interfaces, help="Only the director of this interface."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Show the directors of this host: daemon, datapath, tables, packets.

    glbctl director status --iface eth0
    """
    facts = facts_of_role("director", iface)
    emit(output, facts, render("director", facts))
