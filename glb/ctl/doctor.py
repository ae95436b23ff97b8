# SPDX-License-Identifier: MIT
"""`glbctl doctor`: examine this host and its daemons."""

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from glb.ctl import complete
from glb.ctl.output import Format, Output, emit, grid
from glb.doctor.finding import Finding, Level
from glb.printable import plural

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


def doctor_command(
    iface: Annotated[
        str | None,
        typer.Argument(
            metavar="[IFACE]", autocompletion=complete.interfaces, help="Only the daemon on this interface."
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="On a proxy: the tables whose binds it should serve."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Examine this host and its daemons. Each finding has a severity and a remedy.

    Host: kernel, BPF. Both daemons: process, files, interface, attached program, offloads. Director: MTU, backends,
    their health, BGP; one packet for each bind is run through the program and counted in `glbctl stats`. Proxy: whether
    the stack accepts packets for the VIPs (routes, rp_filter), listeners, the routes back to clients, ARP.

    Exit status: 0 without errors, also with warnings; 1 with errors (packets are lost, or will be), or if there is
    nothing to examine; 2 for wrong arguments.

    glbctl doctor --table forwarding_table.json
    """
    from glb.doctor.examine import examine  # imported here: scapy takes long

    findings = examine(iface, table)
    emit(output, [asdict(finding) for finding in findings], _render(findings))
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(1)


def _render(findings: list[Finding]) -> RenderableType:
    by_subject = groupby(findings, key=lambda finding: finding.subject)
    parts = [part for subject, group in by_subject for part in (Text(subject, style="bold"), _table(list(group)), "")]
    return Group(*parts, _summary(findings))


def _table(findings: list[Finding]) -> Table:
    table = grid("", "", "")
    table.show_header = False
    for finding in findings:
        style = _STYLES[finding.level]
        table.add_row(Text(finding.level, style=style), finding.check, finding.what)
        if finding.remedy:
            table.add_row("", "", f"-> {finding.remedy}")
    return table


def _summary(findings: list[Finding]) -> str:
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    return ", ".join(f"{number} ok" if level is Level.OK else plural(number, level) for level, number in counts.items())
