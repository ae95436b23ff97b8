"""`glbctl doctor`."""

from dataclasses import asdict
from itertools import groupby
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from glb.ctl.output import Format, Output, emit, grid
from glb.doctor.finding import Finding, Level

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


def doctor_command(
    iface: Annotated[str | None, typer.Argument(metavar="[IFACE]", help="Only the daemon of this interface.")] = None,
    output: Output = Format.TEXT,
) -> None:
    """Examine this host and its daemons; each finding comes with its remedy. Exit status 1 if there is an error.

    Kernel and BPF, the interface and what is attached to it, offloads, MTU, VIPs, ARP, the ways to backends; and
    whether the program does what the files say: it is given a packet for each bind, which `glbctl stats` counts too.
    """
    from glb.doctor.examine import examine  # here, since scapy takes long, which other commands do without

    findings = examine(iface)
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
    return f"errors: {counts[Level.ERROR]}, warnings: {counts[Level.WARNING]}, as it should be: {counts[Level.OK]}"
