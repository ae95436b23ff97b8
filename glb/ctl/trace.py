"""`glbctl trace`."""

from dataclasses import asdict
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from glb.config.load import load_director, load_proxy
from glb.config.model import Proto
from glb.ctl.endpoints import parse_endpoint
from glb.ctl.output import Format, Output, emit, grid
from glb.daemon.report import Report, reports_here
from glb.errors import GlbError
from glb.hashing.flow import Flow
from glb.table.build import load
from glb.trace.decisions import Decision, DirectorTrace, ProxyTrace

_FIRST = {
    Decision.TAKEN: "taken here: it begins a connection",
    Decision.SENT_ON: "sent on to the next hop",
    Decision.DROPPED: "dropped: `glbctl stats` tells why",
}
_LATER = {
    Decision.TAKEN: "taken here: a socket knows the connection, or none is needed",
    Decision.SENT_ON: "sent on to the next hop: no socket here knows the connection",
    Decision.DROPPED: "dropped: `glbctl stats` tells why",
}


def trace_command(
    source: Annotated[str, typer.Argument(metavar="SRC:PORT", help="The client.")],
    destination: Annotated[str, typer.Argument(metavar="DST:PORT", help="The VIP.")],
    proto: Annotated[Proto, typer.Option("--proto", help="The protocol.")] = Proto.TCP,
    iface: Annotated[str | None, typer.Option("--iface", help="Only the daemon of this interface.")] = None,
    output: Output = Format.TEXT,
) -> None:
    """Follow a client's packets through the directors and proxies of this host.

    A director: what the files say (bind, row, hops), and what the attached program does with such a packet. A proxy:
    whether it takes the connection's packets at this moment, or sends them on. The programs are run on packets made
    for the purpose, without any network; `glbctl stats` counts them. Ask each host on the way in turn.

    glbctl trace 198.51.100.7:4711 203.0.113.10:443
    """
    flow = _flow(source, destination)
    traces = [_trace(report, flow, proto) for report in reports_here(iface)]
    if not traces:
        raise GlbError("no director and no proxy on this host; `glbctl doctor` says more")
    emit(output, [_facts(trace) for trace in traces], Group(*map(_render, traces)))


def _flow(source: str, destination: str) -> Flow:
    (src, src_port), (dst, dst_port) = parse_endpoint(source), parse_endpoint(destination)
    if src.version != dst.version:
        raise typer.BadParameter(f"{source} is IPv{src.version}, {destination} is IPv{dst.version}")
    if src_port is None or dst_port is None:
        raise typer.BadParameter(f"{source if src_port is None else destination} has no port")
    return Flow(src, dst, src_port, dst_port)


def _trace(report: Report, flow: Flow, proto: Proto) -> DirectorTrace | ProxyTrace:
    # Here, since scapy takes long to import, which other commands do without.
    from glb.trace.director import trace_director
    from glb.trace.proxy import trace_proxy

    if report.role == "director":
        config = load_director(Path(report.config_file or ""))
        return trace_director(report.interface, load(Path(report.table_file or "")), config, flow, proto)
    return trace_proxy(report.interface, _a_source(report), flow, proto)


def _a_source(report: Report) -> IPv4Address | None:
    """An address that the proxy takes packets from; None if it takes them from anybody."""
    sources = load_proxy(Path(report.config_file)).sources if report.config_file else ()
    return sources[0].network_address if sources else None


def _facts(trace: DirectorTrace | ProxyTrace) -> dict[str, Any]:
    if isinstance(trace, DirectorTrace):
        return {"role": "director", **asdict(trace), "agrees": trace.agrees}
    return {"role": "proxy", **asdict(trace)}


def _render(trace: DirectorTrace | ProxyTrace) -> RenderableType:
    lines = grid("", "")
    lines.show_header = False
    if isinstance(trace, DirectorTrace):
        lines.add_row("files", _by_files(trace))
        lines.add_row("program", _by_program(trace))
        return Group(Text(f"director {trace.interface}", style="bold"), lines, "")
    lines.add_row("first packet", _FIRST[trace.first])
    lines.add_row("later ones", _LATER[trace.later])
    return Group(Text(f"proxy {trace.interface}", style="bold"), lines, "")


def _by_files(trace: DirectorTrace) -> str:
    if trace.bind is None:
        return "no bind matches: left to the director's stack"
    return f"table {trace.table}, bind {trace.bind}, row {trace.row}: {' -> '.join(trace.hops)}"


def _by_program(trace: DirectorTrace) -> Text:
    what = f"{' -> '.join(trace.sent)}, tunnel port {trace.tunnel_source_port}" if trace.sent else trace.action
    if not trace.agrees:
        return Text(f"{what}: not what the files say; `glbctl doctor`", style="red")
    if trace.sent != trace.hops:
        return Text(f"{what} (by health, in another order)", style="yellow")
    return Text(what)
