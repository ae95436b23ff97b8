# SPDX-License-Identifier: MIT
"""`glbctl capture`: show packets that pass the datapaths of this host."""

import socket
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from glb.capture.event import to_line
from glb.capture.filter import MAX_BYTES, parse_filter
from glb.capture.records import CapturedPacket
from glb.ctl.output import Format, Output, console
from glb.ctl.watch import Count, Interfaces, Seconds, decision, heading, output_is_closed, watch


def capture_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILTER]",
            help="For example: client 198.51.100.0/24 and port 443, or: verdict drop.",
        ),
    ] = None,
    write: Annotated[
        Path | None, typer.Option("--write", "-w", metavar="FILE", help="Write a pcapng file, for Wireshark.")
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=1, help="Show one of N packets.")] = 1,
    size: Annotated[
        int, typer.Option("--bytes", min=64, max=MAX_BYTES, help="Bytes of each frame to keep.")
    ] = MAX_BYTES,
    iface: Interfaces = None,
    count: Count = None,
    seconds: Seconds = None,
    output: Output = Format.TEXT,
) -> None:
    """Show packets as they arrive and leave, with their verdicts, in all datapaths attached on this host.

    During a capture, capture programs replace the attached programs, with the same tables and counters. No packet is
    lost at either switch, and there is no cost while no capture runs. A filter is one or more of these, joined by
    "and"; all must match: client NET, client-port N, vip NET, port N, proto tcp|udp|icmp|icmpv6, verdict NAME (or its
    beginning, such as drop).

    glbctl capture "client 198.51.100.0/24 and verdict drop" --count 20
    """
    from glb.capture.dissect import event_of  # scapy is slow to import
    from glb.capture.pcapng import CaptureFile

    wanted = replace(parse_filter(words or ()), one_in=sample, bytes=size)
    host = socket.gethostname()
    with CaptureFile(write) if write else nullcontext() as file:

        def show(captured: CapturedPacket) -> None:
            if file is not None:
                file.add(captured)
                return
            event = event_of(captured, host)
            if output is Format.JSON:
                typer.echo(to_line(event))
            else:
                console.print(Text.assemble(heading(event), "  ", decision(event)), soft_wrap=True)

        watch(wanted, iface, count, seconds, show, lambda: file is None and output_is_closed())
