# SPDX-License-Identifier: MIT
"""`glbctl trace`: one client's packets on their path through the datapaths of this host and of others."""

import shlex
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from glb.capture.event import ClientPacket, Event, Row, to_line
from glb.capture.filter import CaptureFilter, parse_filter
from glb.capture.records import CapturedPacket
from glb.config.model import Proto
from glb.ctl.arguments import parse_endpoint
from glb.ctl.host_traces import HostTrace, here, on, show_all
from glb.ctl.output import Format, Output, console, errors
from glb.ctl.watch import Count, Interfaces, Seconds, fitted, input_has_ended, output_is_closed, paragraph, watch
from glb.daemon.report import read_report, report_path
from glb.datapath.pins import attached_interfaces
from glb.director.sources import Loaded, Sources, read
from glb.hashing.flow import Flow
from glb.table.lookup import ICMP, lookup


def trace_command(
    source: Annotated[str, typer.Argument(metavar="CLIENT[:PORT]", help="The client.")],
    destination: Annotated[str | None, typer.Argument(metavar="[VIP[:PORT]]", help="The VIP; default: any.")] = None,
    hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="[USER@]HOST",
            help="Also trace the datapaths of this host, by ssh; repeat it for further ones.",
            show_default=False,
        ),
    ] = None,
    iface: Interfaces = None,
    count: Count = None,
    seconds: Seconds = None,
    until_eof: Annotated[
        bool,
        typer.Option(
            "--until-eof", help="Stop at the end of standard input. --host uses it to stop the remote traces."
        ),
    ] = False,
    ssh: Annotated[
        str, typer.Option("--ssh", metavar="COMMAND", help='With --host: the ssh command, such as "ssh -F FILE".')
    ] = "ssh",
    remote_glbctl: Annotated[
        str,
        typer.Option(
            "--remote-glbctl", metavar="COMMAND", help='With --host: the remote command, such as "sudo -n glbctl".'
        ),
    ] = "glbctl",
    output: Output = Format.TEXT,
) -> None:
    """Follow one client's packets through directors and proxies, with each decision.

    A director shows the bind, the row and the first hop of a packet; a proxy shows why it took the packet (a new
    connection, a known one, a SYN cookie) or the hop that it sent the packet on to. The trace covers the datapaths of
    this host, if there are any, and of each --host, merged in order of time:

    glbctl trace 198.51.100.7 203.0.113.10:443 --host director1 --host proxy1 --host proxy2

    The lines of a packet are shown together, in the order of its path. Other hosts are reached with `ssh`, which uses
    your keys and configuration and never prompts. If a host fails, an error is printed, the others continue, and the
    exit status is 1.
    """
    ends = [_filter_words("client", "client-port", source)]
    if destination is not None:
        ends.append(_filter_words("vip", "port", destination))
    wanted = parse_filter([word for words in ends for word in words])

    def is_over() -> bool:
        return output_is_closed() or (until_eof and input_has_ended())

    if not hosts:
        _trace_here(wanted, iface, count, seconds, _printer(output, with_host=False), is_over)
        return
    arguments = ["trace", source, *([destination] if destination else []), "--output", Format.JSON, "--until-eof"]
    arguments += [word for name in iface or () for word in ("--iface", name)]
    arguments += [] if seconds is None else ["--seconds", f"{seconds}"]
    traces = _traces(hosts, arguments, shlex.split(ssh), remote_glbctl)
    if not show_all(traces, _printer(output, with_host=True), count, seconds, is_over):
        raise typer.Exit(1)


def _trace_here(
    wanted: CaptureFilter,
    interfaces: list[str] | None,
    count: int | None,
    seconds: float | None,
    show: Callable[[Event], None],
    is_over: Callable[[], bool],
) -> None:
    from glb.capture.dissect import event_of  # scapy is slow to import

    rows = TableRows()
    host = socket.gethostname()

    def show_with_row(captured: CapturedPacket) -> None:
        event = event_of(captured, host)
        show(replace(event, row=rows.of(event)))

    watch(wanted, interfaces, count, seconds, show_with_row, is_over)


def _printer(output: Format, *, with_host: bool) -> Callable[[Event], None]:
    def show(event: Event) -> None:
        if output is Format.JSON:
            typer.echo(to_line(event))
            return
        for line in paragraph(event, with_host=with_host):
            for part in fitted(line, console):
                console.print(part, soft_wrap=True)

    return show


def _traces(hosts: Sequence[str], arguments: Sequence[str], ssh: Sequence[str], glbctl: str) -> list[HostTrace]:
    """The traces of all hosts, and of this host if a datapath is attached; this host is never traced by ssh."""
    this = socket.gethostname()
    wanted = list(dict.fromkeys(hosts))
    if not _is_attached():
        return [on(host, arguments, ssh, glbctl) for host in wanted]
    others = [host for host in wanted if host.rpartition("@")[2] != this]
    return [here(this, arguments), *(on(host, arguments, ssh, glbctl) for host in others)]


def _is_attached() -> bool:
    try:
        return bool(attached_interfaces())
    except PermissionError as error:
        errors.print(f"the datapaths of this host are skipped: {error.filename}: {error.strerror}", style="dim")
        return False


def _filter_words(address_keyword: str, port_keyword: str, endpoint: str) -> list[str]:
    """One end of a connection, as part of a filter."""
    address, port = parse_endpoint(endpoint)
    return [f"{address_keyword} {address}", *([f"{port_keyword} {port}"] if port is not None else [])]


class TableRows:
    """Finds the bind and row of a packet in the files of its director, which are read once."""

    def __init__(self) -> None:
        self._loaded: dict[str, Loaded | None] = {}

    def of(self, event: Event) -> Row | None:
        """None for a proxy's event, and for a packet that matches no bind."""
        if event.program != "director" or event.packet is None or event.packet.protocol == "other":
            return None
        if event.interface not in self._loaded:
            self._loaded[event.interface] = _files_of(event.interface)
        loaded = self._loaded[event.interface]
        return _row(loaded, event.packet) if loaded else None


def _files_of(interface: str) -> Loaded | None:
    """The loaded files of a director; None without a status file, that is, without a daemon."""
    path = report_path(interface)
    if not path.exists():
        return None
    report = read_report(path)
    return read(Sources(Path(str(report.config_file)), Path(str(report.table_file))))


def _row(loaded: Loaded, packet: ClientPacket) -> Row | None:
    config = loaded.config
    flow = Flow(ip_address(packet.src), ip_address(packet.dst), packet.src_port or 0, packet.dst_port or 0)
    found = lookup(
        loaded.tables,
        flow,
        ICMP if packet.protocol == ICMP else Proto(packet.protocol),
        config.hash_fields,
        config.alt_hash_fields,
    )
    return Row(found.table, str(found.bind), found.row) if found else None
