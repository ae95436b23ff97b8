"""`glbctl director`."""

import asyncio
from typing import Annotated

import typer

from glb.ctl.options import ConfigFile, Interface, Keep, TableFile
from glb.ctl.output import Format, Output, emit
from glb.ctl.status import facts_of_role, render
from glb.daemon.lifecycle import set_up_logging
from glb.director import daemon

app = typer.Typer(help="The director: takes clients' packets and tunnels them to the proxies.", no_args_is_help=True)


@app.command()
def run(iface: Interface, config: ConfigFile, table: TableFile, keep: Keep = False) -> None:
    """Run the director on an interface, in the foreground.

    It is ready when it says so, to the service manager as well (sd_notify). SIGHUP, or a change of one of the files,
    loads them anew; a bad file is reported and changes nothing. SIGTERM detaches it cleanly. If it is killed, the
    datapath goes on, and the next start takes its place without losing a packet.
    """
    set_up_logging()
    asyncio.run(daemon.run(iface, config, table, keep))


@app.command()
def status(
    iface: Annotated[str | None, typer.Option("--iface", help="Only the director of this interface.")] = None,
    output: Output = Format.TEXT,
) -> None:
    """Show the directors of this host: daemon, datapath, tables, packets."""
    facts = facts_of_role("director", iface)
    emit(output, facts, render("director", facts))
