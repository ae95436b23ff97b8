"""`glbctl stats`."""

from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from glb.ctl.output import Format, Output, emit, grid
from glb.datapath.counters import attached_program, read_counters
from glb.datapath.pins import attached_interfaces
from glb.datapath.verdicts import verdicts_of


def stats_command(
    iface: Annotated[str | None, typer.Argument(metavar="[IFACE]", help="Only this interface.")] = None,
    all_verdicts: Annotated[bool, typer.Option("--all", "-a", help="Also what has not happened yet.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Count the packets of this host's datapaths by verdict, with what each means.

    Read from the kernel without disturbing it, whether a daemon runs or not.
    """
    facts = [_facts(name) for name in ([iface] if iface else attached_interfaces())]
    emit(output, facts, _render(facts, all_verdicts))


def _facts(interface: str) -> dict[str, object]:
    program = attached_program(interface)
    return {"interface": interface, "program": program, "packets": read_counters(interface, program)}


def _render(facts: list[dict[str, object]], all_verdicts: bool) -> Group:
    if not facts:
        return Group("no datapath is attached on this host")
    return Group(*(_table(fact, all_verdicts) for fact in facts))


def _table(fact: dict[str, object], all_verdicts: bool) -> Group:
    program, packets = str(fact["program"]), fact["packets"]
    assert isinstance(packets, dict)
    table = grid("packets", "verdict", "action", "meaning", numbers=("packets",))
    for verdict in verdicts_of(program):
        count = packets.get(verdict.name, 0)
        if verdict.name in packets and (count or all_verdicts):
            table.add_row(f"{count:,}", verdict.name, verdict.action, verdict.meaning)
    table.add_row(f"{sum(packets.values()):,}", "total", "", "")
    return Group(Text(f"{program} {fact['interface']}", style="bold"), table)
