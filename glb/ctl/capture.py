"""`glbctl capture` and `glbctl trace`: packets as they pass the datapaths of this host."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from glb.capture.records import NANOSECONDS, Visit
from glb.capture.session import Capture
from glb.capture.wish import MAX_BYTES, Wish, parse
from glb.ctl.endpoints import parse_endpoint
from glb.ctl.output import Format, Output, console, errors
from glb.datapath.pins import attached_interfaces

if TYPE_CHECKING:  # at run time where they are needed: they bring in scapy, which is slow to come
    from glb.capture.story import Story

_ORDER_SECONDS = 0.3  # within which visits of several datapaths are put into order

Interfaces = Annotated[
    list[str] | None, typer.Option("--iface", help="Only the datapath of this interface; again for each further one.")
]
Count = Annotated[int | None, typer.Option("--count", "-c", min=1, help="Stop after so many packets.")]
Seconds = Annotated[float | None, typer.Option("--seconds", min=0, help="Stop after this time.")]


def capture_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILTER]",
            help="Such as: client 198.51.100.0/24 and port 443, or: verdict drop. All must hold.",
        ),
    ] = None,
    write: Annotated[
        Path | None, typer.Option("--write", "-w", metavar="FILE", help="A pcapng file, for Wireshark.")
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=1, help="Show one packet in so many.")] = 1,
    size: Annotated[
        int, typer.Option("--bytes", min=64, max=MAX_BYTES, help="How much of each frame to keep.")
    ] = MAX_BYTES,
    iface: Interfaces = None,
    count: Count = None,
    seconds: Seconds = None,
    output: Output = Format.TEXT,
) -> None:
    """Show packets as they come in and as they leave, with the verdict: of all datapaths attached on this host.

    While it runs, programs that also report stand in the places of the attached ones, over the same tables and
    counters; at its end these come back. No packet is lost at either change. When nobody captures, nothing is there to
    cost anything. A filter's parts: client NET, client-port N, vip NET, port N, proto tcp|udp|icmp|icmpv6, verdict NAME
    (or the beginning of some: drop).
    """
    from glb.capture.pcapng import CaptureFile

    wish = replace(parse(words or ()), one_in=sample, bytes=size)
    with CaptureFile(write) if write else nullcontext() as file:

        def show(story: "Story") -> None:
            if file is not None:
                file.add(story.visit)
            elif output is Format.JSON:
                _print_json(_facts(story))
            else:
                console.print(_line(story), soft_wrap=True)

        _run(wish, iface, count, seconds, show)


def trace_command(
    source: Annotated[str, typer.Argument(metavar="CLIENT[:PORT]", help="The client.")],
    destination: Annotated[
        str | None, typer.Argument(metavar="[VIP[:PORT]]", help="The VIP; any, if left out.")
    ] = None,
    iface: Interfaces = None,
    count: Count = None,
    seconds: Seconds = None,
    output: Output = Format.TEXT,
) -> None:
    """Follow one client's packets through the directors and proxies of this host, with each decision.

    A director says which bind and row it is, and whom it tunnels the packet to; a proxy, why it took it (a new
    connection, one that it has, a SYN cookie) or whom it sent it on to. Run it on each host that the packets may pass,
    at the same time: the lines carry the time, and with -o json what several hosts tell is put together:

    for host in director1 proxy1 proxy2; do ssh $host glbctl trace 198.51.100.7 --seconds 30 -o json & done |
    jq -rs 'sort_by(.time)[].told'
    """
    from glb.ctl.rows import TableRows

    ends = [_words("client", "client-port", source)]
    if destination is not None:
        ends.append(_words("vip", "port", destination))
    wish = parse([word for words in ends for word in words])
    rows = TableRows()
    host = socket.gethostname()

    def show(story: "Story") -> None:
        row = rows.of(story)
        lines = [Text(f"    {row}")] * (row is not None) + [Text(f"    {story.decision}", _style(story))]
        if output is Format.JSON:
            told = "\n".join([f"{_heading(story)}  at {host}", *map(str, lines)])
            _print_json(_facts(story) | {"row": row.facts() if row else None, "host": host, "told": told})
            return
        for line in (_heading(story), *lines):
            console.print(line, soft_wrap=True)

    _run(wish, iface, count, seconds, show)


def _words(address_keyword: str, port_keyword: str, endpoint: str) -> list[str]:
    """An end of a connection as a part of a filter."""
    address, port = parse_endpoint(endpoint)
    return [f"{address_keyword} {address}", *([f"{port_keyword} {port}"] if port is not None else [])]


def _run(
    wish: Wish, interfaces: list[str] | None, count: int | None, seconds: float | None, show: Callable[["Story"], None]
) -> None:
    """Show visits as they come, until enough are shown, the time is over or Ctrl-C is pressed; then those left over."""
    from glb.capture.story import tell

    waiting: list[Visit] = []
    left = count if count is not None else float("inf")
    shown = 0

    def show_until(moment: float) -> None:
        nonlocal shown
        for visit in _in_order(waiting, moment):
            if shown < left:
                show(tell(visit))
                shown += 1

    with _until_signal() as stop, Capture(interfaces or attached_interfaces(), wish, waiting.append) as capture:
        errors.print(f"capturing on {', '.join(capture.interfaces)}; Ctrl-C ends it", style="dim")
        deadline = time.monotonic() + (seconds if seconds is not None else float("inf"))
        while shown < left and time.monotonic() < deadline and not stop.is_set():
            capture.poll()
            show_until(time.time() - _ORDER_SECONDS)
        lost = capture.lost()
    show_until(float("inf"))
    errors.print(f"{shown:,} packets" + (f", {lost:,} more for which there was no room" if lost else ""), style="dim")


@contextmanager
def _until_signal() -> Iterator[Event]:
    """An event that SIGINT, SIGTERM and a terminal's end set: a KeyboardInterrupt might come within libbpf's callbacks,
    and be lost."""
    stop = Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        numbers.append(signal.SIGHUP)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _in_order(waiting: list[Visit], until: float) -> Iterator[Visit]:
    """Take out what ended before a moment, in seconds since 1970; nothing earlier can still come."""
    waiting.sort(key=lambda visit: visit.time)
    while waiting and waiting[0].time < until * NANOSECONDS:
        yield waiting.pop(0)


def _line(story: "Story") -> Text:
    return Text.assemble(_heading(story), "  ", (story.decision, _style(story)))


def _heading(story: "Story") -> Text:
    visit = story.visit
    when = datetime.fromtimestamp(visit.time // NANOSECONDS).strftime("%H:%M:%S")
    stamp = f"{when}.{visit.time % NANOSECONDS // 1000:06}"
    packet = str(story.inner) if story.inner else f"{visit.before.length} bytes that are no IP packet"
    return Text.assemble((stamp, "dim"), f" {visit.interface}  ", (packet, "bold"))


def _style(story: "Story") -> str:
    return {"drop": "red", "tx": "green"}.get(story.visit.verdict.action, "")


def _facts(story: "Story") -> dict[str, Any]:
    visit = story.visit
    return {
        "time": visit.time / NANOSECONDS,
        "interface": visit.interface,
        "program": visit.program,
        "verdict": visit.verdict.name,
        "action": visit.verdict.action,
        "packet": story.inner,
        "came_in": story.came_in,
        "left_in": story.left_in,
    }


def _print_json(facts: dict[str, Any]) -> None:
    """A line of JSON for each packet."""
    typer.echo(
        json.dumps(
            facts,
            default=lambda value: asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value),
        )
    )
