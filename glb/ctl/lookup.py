# SPDX-License-Identifier: MIT
"""`glbctl lookup`: the bind, row and hops of a packet, computed from a table file."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from glb.config.json_files import load_director
from glb.config.model import DirectorConfig, HashFields, Proto
from glb.ctl.arguments import TableArgument, parse_endpoint
from glb.ctl.output import Format, Output, emit, grid
from glb.errors import GlbError
from glb.hashing.flow import Flow
from glb.table.lookup import ICMP, Lookup, lookup
from glb.table.model import BuiltTable
from glb.table.table_files import load_built


class Protocol(StrEnum):
    """The protocols of binds, and ICMP echo to an address."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


ProtocolOption = Annotated[
    Protocol | None,
    typer.Option("--proto", help="Default: tcp, or icmp (echo) if DST has no port."),
]


def lookup_command(
    table: TableArgument,
    source: Annotated[str | None, typer.Argument(metavar="SRC[:PORT]", help="The client.")] = None,
    destination: Annotated[str | None, typer.Argument(metavar="DST[:PORT]", help="The VIP and its port.")] = None,
    proto: ProtocolOption = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="The director's configuration, for its hash fields.")
    ] = None,
    from_file: Annotated[
        str | None,
        typer.Option("--from", metavar="FILE", help="Look up many: one SRC and DST on each line; - is stdin."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Show what a director with this table does with a client's packet: bind, hash, row, hops.

    Addresses may be IPv4 or IPv6: 198.51.100.7:4711, [2001:db8::7]:4711. Exit status 1 if no bind matches.

    glbctl lookup forwarding_table.json 198.51.100.7:40000 203.0.113.10:443
    """
    pairs = list(_pairs(source, destination, from_file))
    director = load_director(config) if config else None
    tables = load_built(table)
    facts = [_answer(tables, director, src, dst, proto) for src, dst in pairs]
    emit(output, facts if from_file else facts[0], _render(facts))
    if not all(fact["bind"] for fact in facts):
        raise typer.Exit(1)


def _pairs(source: str | None, destination: str | None, from_file: str | None) -> Iterator[tuple[str, str]]:
    if from_file is None:
        if source is None or destination is None:
            raise typer.BadParameter("give a client and a VIP: SRC[:PORT] DST:PORT")
        yield source, destination
        return
    if source is not None:
        raise typer.BadParameter("give either SRC and DST, or --from")
    for number, line in enumerate(_read(from_file).splitlines(), start=1):
        words = line.split()
        if len(words) != 2:
            raise typer.BadParameter(f'{from_file}, line {number}: "{line}" is not SRC and DST')
        yield words[0], words[1]


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text()
    except OSError as error:
        raise GlbError(f"{name}: {error.strerror}") from error


def _answer(
    tables: tuple[BuiltTable, ...],
    director: DirectorConfig | None,
    source: str,
    destination: str,
    proto: str | None,
) -> dict[str, Any]:
    src, src_port = parse_endpoint(source)
    dst, dst_port = parse_endpoint(destination)
    if src.version != dst.version:
        raise typer.BadParameter(f"{source} is IPv{src.version}, {destination} is IPv{dst.version}")
    protocol = proto or (Protocol.ICMP if dst_port is None else Protocol.TCP)
    if protocol is not Protocol.ICMP and dst_port is None:
        raise typer.BadParameter(f"{destination} has no port")
    flow = Flow(src, dst, src_port or 0, dst_port or 0)
    fields = director.hash_fields if director else HashFields()
    alternative = director.alt_hash_fields if director else None
    if protocol is Protocol.ICMP:
        found = lookup(tables, flow, ICMP, fields, alternative)
    else:
        found = lookup(tables, flow, Proto(protocol), fields, alternative)
    return {"source": source, "destination": destination, "protocol": protocol, **_facts(found)}


def _facts(found: Lookup | None) -> dict[str, Any]:
    if found is None:
        return {
            "table": None,
            "bind": None,
            "hash": None,
            "row": None,
            "hops": [],
            "tunnel_source_port": None,
        }
    return {
        "table": found.table,
        "bind": str(found.bind),
        "hash": f"{found.pkt_hash:016x}",
        "row": found.row,
        "hops": [str(hop) for hop in found.hops],
        "tunnel_source_port": found.tunnel_source_port,
    }


def _render(facts: list[dict[str, Any]]) -> RenderableType:
    if len(facts) != 1:
        return _many(facts)
    fact = facts[0]
    if fact["bind"] is None:
        return f"{fact['destination']} ({fact['protocol']}): no bind matches: passed to the director's own stack"
    lines = grid("", "")
    lines.show_header = False
    for label in ("protocol", "table", "bind", "hash", "row"):
        lines.add_row(label, str(fact[label]))
    lines.add_row("hops", " -> ".join(fact["hops"]))
    lines.add_row("tunnel port", str(fact["tunnel_source_port"]))
    return Group(lines)


def _many(facts: list[dict[str, Any]]) -> Table:
    table = grid("source", "destination", "table", "row", "hops", numbers=("row",))
    for fact in facts:
        table.add_row(
            fact["source"],
            fact["destination"],
            fact["table"] or "-",
            "-" if fact["row"] is None else str(fact["row"]),
            " ".join(fact["hops"]) or "no bind matches",
        )
    return table
