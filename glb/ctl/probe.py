# SPDX-License-Identifier: MIT
"""`glbctl probe`: run test packets of a flow through the attached programs."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from glb.config.json_files import load_director, load_proxy
from glb.config.model import Proto
from glb.ctl import complete
from glb.ctl.arguments import parse_endpoint
from glb.ctl.output import Format, Output, emit, grid
from glb.daemon.report import Report, reports_here
from glb.errors import GlbError
from glb.hashing.flow import Flow
from glb.probe.decisions import Decision, DirectorProbe, ProxyProbe
from glb.table.table_files import load_built

_FIRST = {
    Decision.TAKEN: "taken here: it begins a connection",
    Decision.SENT_ON: "sent on to the next hop",
    Decision.DROPPED: "dropped: see the verdict in `glbctl stats`",
}
_LATER = {
    Decision.TAKEN: "taken here: a socket knows the connection, or none is needed",
    Decision.SENT_ON: "sent on to the next hop: no socket here knows the connection",
    Decision.DROPPED: "dropped: see the verdict in `glbctl stats`",
}


def probe_command(
    source: Annotated[str, typer.Argument(metavar="SRC:PORT", help="The client.")],
    destination: Annotated[str, typer.Argument(metavar="DST:PORT", help="The VIP.")],
    proto: Annotated[Proto, typer.Option("--proto", help="The protocol.")] = Proto.TCP,
    iface: Annotated[
        str | None,
        typer.Option("--iface", autocompletion=complete.interfaces, help="Only the daemon on this interface."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Show what the directors and proxies of this host do with a client's packets, without sending any.

    For a director: bind, row and hops by its files, and the result of the attached program. For a proxy: whether it
    takes the connection's packets at this moment, or sends them on. The programs run on test packets without a network;
    `glbctl stats` counts these packets. Run the command on each host of the path in turn.

    glbctl probe 198.51.100.7:4711 203.0.113.10:443
    """
    flow = _flow(source, destination)
    probes = [_probe(report, flow, proto) for report in reports_here(iface)]
    if not probes:
        raise GlbError("no director or proxy on this host; see `glbctl doctor`")
    emit(output, [_facts(probe) for probe in probes], Group(*map(_render, probes)))


def _flow(source: str, destination: str) -> Flow:
    (src, src_port), (dst, dst_port) = parse_endpoint(source), parse_endpoint(destination)
    if src.version != dst.version:
        raise typer.BadParameter(f"{source} is IPv{src.version}, {destination} is IPv{dst.version}")
    if src_port is None or dst_port is None:
        raise typer.BadParameter(f"{source if src_port is None else destination} has no port")
    return Flow(src, dst, src_port, dst_port)


def _probe(report: Report, flow: Flow, proto: Proto) -> DirectorProbe | ProxyProbe:
    # Imported here: scapy takes long.
    from glb.probe.director import probe_director
    from glb.probe.proxy import probe_proxy

    if report.role == "director":
        config = load_director(Path(report.config_file or ""))
        return probe_director(report.interface, load_built(Path(report.table_file or "")), config, flow, proto)
    proxy = load_proxy(Path(report.config_file or ""))
    return probe_proxy(report.interface, proxy.known_sources, proxy.namespaces, flow, proto)


def _facts(probe: DirectorProbe | ProxyProbe) -> dict[str, Any]:
    if isinstance(probe, DirectorProbe):
        return {"role": "director", **asdict(probe), "agrees": probe.agrees}
    return {"role": "proxy", **asdict(probe)}


def _render(probe: DirectorProbe | ProxyProbe) -> RenderableType:
    lines = grid("", "")
    lines.show_header = False
    if isinstance(probe, DirectorProbe):
        lines.add_row("files", _by_files(probe))
        lines.add_row("program", _by_program(probe))
        return Group(Text(f"director {probe.interface}", style="bold"), lines, "")
    lines.add_row("first packet", _FIRST[probe.first])
    lines.add_row("later ones", _LATER[probe.later])
    return Group(Text(f"proxy {probe.interface}", style="bold"), lines, "")


def _by_files(probe: DirectorProbe) -> str:
    if probe.bind is None:
        return "no bind matches: passed to the director's own stack"
    return f"table {probe.table}, bind {probe.bind}, row {probe.row}: {' -> '.join(probe.hops)}"


def _by_program(probe: DirectorProbe) -> Text:
    what = f"{' -> '.join(probe.sent)}, tunnel port {probe.tunnel_source_port}" if probe.sent else probe.action
    if not probe.agrees:
        return Text(f"{what}: differs from the files; see `glbctl doctor`", style="red")
    if probe.sent != probe.hops:
        return Text(f"{what} (reordered by health)", style="yellow")
    return Text(what)
