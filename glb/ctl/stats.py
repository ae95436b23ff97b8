"""`glbctl stats`."""

from collections import defaultdict
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from glb.ctl.output import Format, Output, emit, grid
from glb.daemon.report import all_reports
from glb.datapath.counters import attached_program, read_counters, read_pinned_traffic
from glb.datapath.forwards import read_forwards
from glb.datapath.pins import attached_interfaces
from glb.datapath.verdicts import verdicts_of


def stats_command(
    iface: Annotated[str | None, typer.Argument(metavar="[IFACE]", help="Only this interface.")] = None,
    all_verdicts: Annotated[bool, typer.Option("--all", "-a", help="Also what has not happened yet.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Count the packets of this host's datapaths: by verdict with what each means, by table, bind and backend;
    a proxy's second chances by the hop that they were sent on to.

    Read from the kernel without disturbing it, whether a daemon runs or not. Bytes are those of the clients' packets,
    without the tunnel.
    """
    facts = [_facts(name) for name in ([iface] if iface else attached_interfaces())]
    emit(output, facts, _render(facts, all_verdicts))


def _facts(interface: str) -> dict[str, Any]:
    program = attached_program(interface)
    facts = {"interface": interface, "program": program, "packets": read_counters(interface, program)}
    return facts | (_traffic(interface) if program == "director" else {"next_hops": _forwards(interface)})


def _traffic(interface: str) -> dict[str, Any]:
    """By table (the sum over its binds), bind and backend; what has which counter, the daemon's report tells."""
    entries = {
        (kind, table, name): entry
        for report in all_reports("director")
        if report.interface == interface
        for kind, table, name, entry in report.traffic
    }
    tables: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    binds, backends = [], []
    for (kind, table, name), (packets, size) in read_pinned_traffic(interface, entries).items():
        if kind == "backend":
            backends.append({"table": table, "backend": name, "packets": packets, "bytes": size})
            continue
        binds.append({"table": table, "bind": name, "packets": packets, "bytes": size})
        tables[table][0] += packets
        tables[table][1] += size
    sums = [{"table": table, "packets": packets, "bytes": size} for table, (packets, size) in tables.items() if table]
    return {"tables": sums, "binds": binds, "backends": backends}


def _forwards(interface: str) -> list[dict[str, Any]]:
    return [{"next_hop": str(hop), "packets": packets} for hop, packets in read_forwards(interface).items()]


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
        rows = [row for row in fact.get(f"{kind}s", []) if row["packets"] or everything]
        if rows:
            parts += ["", _traffic_table(kind, rows)]
    if fact.get("next_hops"):
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
