# SPDX-License-Identifier: MIT
"""`glbctl proxy`: run the daemon, show its status."""

import asyncio
import json
from typing import Annotated

import typer

from glb.ctl import complete
from glb.ctl.arguments import ChangeGroup, Interface, Keep, Log, ProxyFile, ViewGroup
from glb.ctl.output import Format, Output, emit
from glb.ctl.status import render, statuses
from glb.daemon.log import LogFormat, set_up_logging
from glb.memory import collection_paused

app = typer.Typer(rich_markup_mode="markdown")


@app.command()
def run(
    iface: Interface,
    config: ProxyFile,
    keep: Keep = False,
    group: ChangeGroup = None,
    view_group: ViewGroup = None,
    log: Log = LogFormat.TEXT,
) -> None:
    """Run the proxy on an interface, in the foreground.

    The VIPs must be addresses of this host, on its loopback interface. Packets from the tunnel that belong to a known
    connection, or may begin one, go to the host's stack; others are sent on to the next hop, for their second chance.
    SIGHUP and SIGUSR1 reload the configuration.

    glbctl proxy run --iface eth0
    """
    with collection_paused():
        from glb.control.access import Access
        from glb.proxy import daemon  # imported here: it needs a web framework

    set_up_logging(log)
    asyncio.run(daemon.run(iface, config, keep, Access.of_groups(group, view_group)))


@app.command()
def openapi() -> None:
    """Print the OpenAPI description (JSON) of the agent's API on TCP.

    glbctl proxy openapi
    """
    from glb.proxy.agent_api import (  # imported here: other commands do not need a web framework
        AgentSettings,
        create_api,
    )

    nowhere = AgentSettings(interface="", addresses=(), port=0, sources=(), namespaces=())
    typer.echo(json.dumps(create_api(nowhere).openapi(), indent=2))


@app.command()
def status(
    iface: Annotated[
        str | None,
        typer.Option("--iface", autocompletion=complete.interfaces, help="Only the proxy on this interface."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Show the proxies of this host: daemon, datapath, packets.

    glbctl proxy status --output json
    """
    daemons = statuses("proxy", iface)
    emit(output, [daemon.facts() for daemon in daemons], render("proxy", daemons))
