# SPDX-License-Identifier: MIT
"""`glbctl lab`: a complete glb in network namespaces of this host, for trials and tests."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from glb.ctl.output import Format, Output, console, emit, grid
from glb.lab.demo import run_demo
from glb.lab.lab import DEFAULT_NAME, Lab
from glb.lab.routing import LabRouter, LabRouting, LabSpeaker
from glb.lab.status import HostStatus, LabStatus

app = typer.Typer(rich_markup_mode="markdown")

Name = Annotated[str, typer.Option("--lab", help="The lab's name; labs with different names are separate.")]
Directors = Annotated[int, typer.Option("--directors", help="Number of directors.")]
Proxies = Annotated[int, typer.Option("--proxies", help="Number of proxies.")]


@app.command()
def up(
    lab: Name = DEFAULT_NAME,
    directors: Directors = 2,
    proxies: Proxies = 3,
    routing: Annotated[
        LabSpeaker | None,
        typer.Option("--routing", help="Announce the VIPs by BGP with this speaker, instead of fixed routes."),
    ] = None,
    router: Annotated[LabRouter, typer.Option("--router", help="With --routing: the router's BGP speaker.")] = (
        LabRouter.BIRD
    ),
    output: Output = Format.TEXT,
) -> None:
    """Start the lab, after removing an earlier one of the same name. It stays until `glbctl lab down`.

    glbctl lab up
    """
    how = LabRouting(routing, router, bfd=routing is LabSpeaker.BIRD) if routing else None
    status = Lab.up(lab, directors=directors, proxies=proxies, routing=how).status()
    emit(output, asdict(status), _render(status))


@app.command()
def down(lab: Name = DEFAULT_NAME) -> None:
    """Remove the lab: processes, namespaces, BPF pins, files. It is not an error if there is none.

    glbctl lab down
    """
    Lab.remove(lab)


@app.command()
def status(lab: Name = DEFAULT_NAME, output: Output = Format.TEXT) -> None:
    """Show the lab's hosts: addresses, processes, namespaces.

    glbctl lab status
    """
    found = Lab.load(lab).status()
    emit(output, asdict(found), _render(found))


@app.command("exec", context_settings={"allow_interspersed_args": False})
def exec_command(
    host: Annotated[str, typer.Argument(metavar="HOST", help="client, router, director1, proxy2, ...")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND ...", help="The command to run.")],
    lab: Name = DEFAULT_NAME,
) -> None:
    """Run a command on a host of the lab, attached to this terminal. The exit status is that of the command.

    glbctl lab exec client -- curl --interface 198.18.0.7 http://203.0.113.10/

    glbctl lab exec director1 -- glbctl stats
    """
    if command[0] == "--":  # arguments after HOST are not parsed
        command = command[1:]
    raise typer.Exit(Lab.load(lab).exec(host, command))


@app.command()
def demo(
    lab: Annotated[str, typer.Option("--lab", help="The name of the demonstration's lab.")] = DEFAULT_NAME,
    keep: Annotated[bool, typer.Option("--keep", envvar="KEEP", help="Keep the lab afterwards (or KEEP=1).")] = False,
) -> None:
    """Demonstrate a drain without cut connections in a separate lab, with real clients. Exit status 1 if it fails.

    glbctl lab demo
    """
    console.print("Starting the lab: clients, a router, 2 directors, 3 proxies with nginx ...")
    running = Lab.up(lab, owned=True)
    held = False
    try:
        held = run_demo(running, console)
    finally:
        if keep:
            running.release()
        else:
            running.down()
    if keep:
        console.print(_hints(running.status()))
    if not held:
        raise typer.Exit(1)


def _hints(status: LabStatus) -> RenderableType:
    option = "" if status.name == DEFAULT_NAME else f" --lab {status.name}"
    return "\n".join(
        (
            "The lab is still running. Some commands to try:",
            f"  glbctl lab status{option}",
            f"  glbctl lab exec{option} client -- curl --interface 198.18.0.7 http://203.0.113.10/",
            f"  glbctl lab exec{option} director1 -- glbctl stats",
            f"  glbctl lab exec{option} director1 -- glbctl backend drain {status.table} ADDRESS",
            f"  glbctl lab down{option}",
        )
    )


def _render(status: LabStatus) -> RenderableType:
    table = grid("host", "role", "addresses", "processes", "routed to")
    for host in status.hosts:
        table.add_row(
            host.name,
            host.role,
            "\n".join(host.addresses),
            _processes(host),
            {None: "", True: "yes", False: "no"}[host.announced],
        )
    return Group(
        Text(f"lab {status.name}", style="bold"),
        table,
        f"forwarding table: {status.table}",
        f"pins: {status.pin_dir}",
    )


def _processes(host: HostStatus) -> Text:
    lines = Text()
    for number, process in enumerate(host.processes):
        text = f"{process.program} ({process.pid})" + ("" if process.alive else ", dead")
        lines.append(("\n" if number else "") + text, style="" if process.alive else "red")
    return lines
