# SPDX-License-Identifier: MIT
"""`glbctl proxy`."""

import asyncio
import json
from typing import Annotated

import typer

from glb.ctl import complete
from glb.ctl.arguments import Interface, Keep, Log, ProxyFile
from glb.ctl.output import Format, Output, emit
from glb.ctl.status import facts_of_role, render
from glb.daemon.log import LogFormat, set_up_logging

app = typer.Typer(rich_markup_mode="markdown")


@app.command()
def run(
    iface: Interface,
    config: ProxyFile,
    keep: Keep = False,
    log: Log = LogFormat.TEXT,
) -> None:
    """Run the proxy agent on an interface, in the foreground.

    The VIPs must be addresses of this host (on its loopback interface). Packets from the tunnel whose connection is
    known here, or may begin here, go to the host's own stack; others get their second chance at the next hop. SIGHUP
    loads the configuration anew.

    glbctl proxy run --iface eth0
    """
    from glb.proxy import daemon  # here, since it brings in a web framework

    set_up_logging(log)
    asyncio.run(daemon.run(iface, config, keep))


@app.command()
def openapi() -> None:
    """Print the description (OpenAPI, JSON) of the API that the proxy's agent serves by TCP.

    glbctl proxy openapi
    """
    from glb.proxy.agent_api import AgentSettings, create_api  # here, since most commands do without a web framework

    nowhere = AgentSettings(interface="", addresses=(), port=0, sources=(), namespaces=())
    typer.echo(json.dumps(create_api(nowhere).openapi(), indent=2))


@app.command()
def status(
    iface: Annotated[
        str | None,
        typer.Option("--iface", autocompletion=complete.interfaces, help="Only the proxy of this interface."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Show the proxy agents of this host: daemon, datapath, packets.

    glbctl proxy status --output json
    """
    facts = facts_of_role("proxy", iface)
    emit(output, facts, render("proxy", facts))
