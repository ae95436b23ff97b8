# SPDX-License-Identifier: MIT
"""`glbctl stats`: packet counters from the pinned maps, or from the daemons."""

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from glb.ctl import complete
from glb.ctl.datapaths import stats_of
from glb.ctl.output import Format, Output, emit, grid
from glb.datapath.verdicts import verdicts_of


def stats_command(
    iface: Annotated[
        str | None, typer.Argument(metavar="[IFACE]", autocompletion=complete.interfaces, help="Only this interface.")
    ] = None,
    all_verdicts: Annotated[bool, typer.Option("--all", "-a", help="Also show counters that are 0.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Show the packet counters of this host's datapaths: by verdict with its meaning, by table, bind and backend, and a
    proxy's second chances by hop.

    Root reads the counters from the kernel and needs no daemon; members of the group glb read them from the daemons.
    Bytes are those of the clients' packets, without the tunnel headers.

    glbctl stats eth0 --all
    """
    facts = stats_of(iface)
    emit(output, facts, _render(facts, all_verdicts))


def _render(facts: list[dict[str, Any]], all_verdicts: bool) -> RenderableType:
    if not facts:
        return "no datapath is attached on this host"
    return Group(*(_interface(fact, all_verdicts) for fact in facts))


def _interface(fact: dict[str, Any], everything: bool) -> Group:
    parts: list[RenderableType] = [
        Text(f"{fact['program']} {fact['interface']}", style="bold"),
        _verdicts(fact["program"], fact["packets"], everything),
    ]
    for kind in ("table", "bind", "backend"):
        rows = [row for row in fact[f"{kind}s"] if row["packets"] or everything]
        if rows:
            parts += ["", _traffic_table(kind, rows)]
    if fact["next_hops"]:
        parts += ["", _forwards_table(fact["next_hops"])]
    return Group(*parts, "")


def _verdicts(program: str, packets: dict[str, int], everything: bool) -> Table:
    table = grid("packets", "verdict", "action", "meaning", numbers=("packets",))
    for verdict in verdicts_of(program):
        count = packets.get(verdict.name, 0)
        if verdict.name in packets and (count or everything):
            table.add_row(f"{count:,}", verdict.name, verdict.action, verdict.meaning)
    table.add_row(f"{sum(packets.values()):,}", "total", "", "")
    return table


def _traffic_table(kind: str, rows: list[dict[str, Any]]) -> Table:
    named = [kind] if kind == "table" else ["table", kind]
    table = grid("packets", "bytes", *named, numbers=("packets", "bytes"))
    for row in rows:
        table.add_row(f"{row['packets']:,}", f"{row['bytes']:,}", *(row[name] for name in named))
    return table


def _forwards_table(rows: list[dict[str, Any]]) -> Table:
    table = grid("packets", "sent on to", numbers=("packets",))
    for row in rows:
        table.add_row(f"{row['packets']:,}", row["next_hop"])
    return table
