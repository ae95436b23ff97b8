# SPDX-License-Identifier: MIT
"""What `glbctl capture` and `glbctl trace` share: watching this host's datapaths until there is an end to it."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from glb.capture.event import Event
from glb.capture.filter import CaptureFilter
from glb.capture.records import NANOSECONDS, CapturedPacket
from glb.capture.session import CaptureSession
from glb.ctl import complete
from glb.ctl.output import errors
from glb.datapath.pins import attached_interfaces
from glb.printable import plural, printable_line

BEGUN = "capturing on "
"""The line on standard error when the capture has started; the interfaces follow."""
_ORDER_SECONDS = 0.3  # events of several datapaths within this time are sorted
_STDIN, _STDOUT = 0, 1
_ANY_BYTES = 4096

Interfaces = Annotated[
    list[str] | None,
    typer.Option(
        "--iface",
        autocompletion=complete.interfaces,
        help="Only the datapath of this interface; repeat it for further ones.",
    ),
]
Count = Annotated[int | None, typer.Option("--count", "-c", min=1, help="Stop after N packets.")]
Seconds = Annotated[float | None, typer.Option("--seconds", min=0, help="Stop after N seconds.")]


def watch(
    wanted: CaptureFilter,
    interfaces: list[str] | None,
    count: int | None,
    seconds: float | None,
    show: Callable[[CapturedPacket], None],
    is_over: Callable[[], bool],
) -> None:
    """Show captured packets in order of time, until `count` are shown, the time is up, Ctrl-C is pressed, or is_over()
    returns true; it is called several times a second.
    """
    waiting: list[CapturedPacket] = []
    left = count if count is not None else float("inf")
    shown = 0

    def show_until(moment: float) -> None:
        nonlocal shown
        for captured in _in_order(waiting, moment):
            if shown < left:
                show(captured)
                shown += 1

    with until_signal() as stop, CaptureSession(interfaces or attached_interfaces(), wanted, waiting.append) as session:
        errors.print(f"{BEGUN}{', '.join(session.interfaces)}; stop with Ctrl-C", style="dim")
        deadline = time.monotonic() + (seconds if seconds is not None else float("inf"))
        while shown < left and time.monotonic() < deadline and not stop.is_set() and not is_over():
            session.poll()
            show_until(time.time() - _ORDER_SECONDS)
        lost = session.lost()
    show_until(float("inf"))
    errors.print(plural(shown, "packet") + (f", {lost:,} more lost: the buffer was full" if lost else ""), style="dim")


@contextmanager
def until_signal() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and the end of the terminal set. A KeyboardInterrupt could be raised inside a
    callback of libbpf and be lost."""
    stop = threading.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # set by nohup
        numbers.append(signal.SIGHUP)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def output_is_closed() -> bool:
    """Whether the reader of standard output has gone: the other end of a pipe or connection, or a terminal."""
    output = select.poll()
    output.register(_STDOUT, 0)  # POLLERR and POLLHUP are always reported
    return bool(output.poll(0))


def input_has_ended() -> bool:
    """Whether standard input is at its end. Data on it is read and ignored."""
    ready, _, _ = select.select([_STDIN], [], [], 0)
    return bool(ready) and not os.read(_STDIN, _ANY_BYTES)


def _in_order(waiting: list[CapturedPacket], until: float) -> Iterator[CapturedPacket]:
    """Take out packets from before a moment, in seconds since 1970; no earlier ones can still arrive."""
    waiting.sort(key=lambda captured: captured.time)
    while waiting and waiting[0].time < until * NANOSECONDS:
        yield waiting.pop(0)


_FURTHER = " " * 8
_STYLES = {"drop": "red", "tx": "green"}


def heading(event: Event, *, with_host: bool = False) -> Text:
    """Time, place and packet of an event."""
    stamp = datetime.fromtimestamp(event.time).strftime("%H:%M:%S.%f")
    place = f"{event.host} {event.interface}" if with_host else event.interface
    packet = str(event.packet) if event.packet else f"{event.length} bytes, not an IP packet"
    return Text.assemble((stamp, "dim"), f" {printable_line(place)}  ", (printable_line(packet), "bold"))


def fitted(line: Text, console: Console) -> list[Text]:
    """Wrap a line between words to the terminal's width, with the rest indented. In a pipe it stays one line."""
    if not console.is_terminal or line.cell_len <= console.width:
        return [line]
    first = line.wrap(console, console.width)[0]
    rest = line[len(first.plain) :]
    rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
    return [first, *(Text(_FURTHER).append_text(part) for part in rest.wrap(console, console.width - len(_FURTHER)))]


def decision(event: Event) -> Text:
    return Text(printable_line(event.decision), _STYLES.get(event.action, ""))


def paragraph(event: Event, *, with_host: bool = False) -> list[Text]:
    """An event in lines: the heading, the row if it is known, the decision."""
    lines = [Text(printable_line(str(event.row)))] * (event.row is not None) + [decision(event)]
    return [heading(event, with_host=with_host), *(Text("    ").append_text(line) for line in lines)]
