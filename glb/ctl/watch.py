# SPDX-License-Identifier: MIT
"""What `glbctl capture` and `glbctl trace` share: watching this host's datapaths until there is an end to it."""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from glb.capture.records import NANOSECONDS, Visit
from glb.capture.session import Capture
from glb.capture.told import Told
from glb.capture.wish import Wish
from glb.ctl import complete
from glb.ctl.output import errors
from glb.datapath.pins import attached_interfaces
from glb.printable import printable_line

if TYPE_CHECKING:  # at run time where it is needed: it brings in scapy, which is slow to come
    from glb.capture.story import Story

BEGUN = "capturing on "
"""What standard error is told when packets begin to be seen; the interfaces follow."""
_ORDER_SECONDS = 0.3  # within which visits of several datapaths are put into order
_STDIN, _STDOUT = 0, 1
_ANY_BYTES = 4096

Interfaces = Annotated[
    list[str] | None,
    typer.Option(
        "--iface",
        autocompletion=complete.interfaces,
        help="Only the datapath of this interface; again for each further one.",
    ),
]
Count = Annotated[int | None, typer.Option("--count", "-c", min=1, help="Stop after so many packets.")]
Seconds = Annotated[float | None, typer.Option("--seconds", min=0, help="Stop after this time.")]


def watch(
    wish: Wish,
    interfaces: list[str] | None,
    count: int | None,
    seconds: float | None,
    show: Callable[["Story"], None],
    is_over: Callable[[], bool],
) -> None:
    """Show visits as they come, then those left over.

    It ends when enough are shown, the time is up, Ctrl-C is pressed, or is_over says so: asked several times a second.
    """
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

    with until_signal() as stop, Capture(interfaces or attached_interfaces(), wish, waiting.append) as capture:
        errors.print(f"{BEGUN}{', '.join(capture.interfaces)}; Ctrl-C ends it", style="dim")
        deadline = time.monotonic() + (seconds if seconds is not None else float("inf"))
        while shown < left and time.monotonic() < deadline and not stop.is_set() and not is_over():
            capture.poll()
            show_until(time.time() - _ORDER_SECONDS)
        lost = capture.lost()
    show_until(float("inf"))
    errors.print(f"{shown:,} packets" + (f", {lost:,} more for which there was no room" if lost else ""), style="dim")


@contextmanager
def until_signal() -> Iterator[Event]:
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


def nobody_reads() -> bool:
    """Whether who was to read standard output has gone: a pipe's other end, a connection, a terminal."""
    output = select.poll()
    output.register(_STDOUT, 0)  # faults and hangups are told unasked
    return bool(output.poll(0))


def input_has_ended() -> bool:
    """What is written to standard input is read, and means nothing."""
    ready, _, _ = select.select([_STDIN], [], [], 0)
    return bool(ready) and not os.read(_STDIN, _ANY_BYTES)


def _in_order(waiting: list[Visit], until: float) -> Iterator[Visit]:
    """Take out what ended before a moment, in seconds since 1970; nothing earlier can still come."""
    waiting.sort(key=lambda visit: visit.time)
    while waiting and waiting[0].time < until * NANOSECONDS:
        yield waiting.pop(0)


_FURTHER = " " * 8
_STYLES = {"drop": "red", "tx": "green"}


def heading(told: Told, *, with_host: bool = False) -> Text:
    """When and where it was, and the packet."""
    stamp = datetime.fromtimestamp(told.time).strftime("%H:%M:%S.%f")
    place = f"{told.host} {told.interface}" if with_host else told.interface
    packet = str(told.packet) if told.packet else f"{told.length} bytes that are no IP packet"
    return Text.assemble((stamp, "dim"), f" {printable_line(place)}  ", (printable_line(packet), "bold"))


def fitted(line: Text, console: Console) -> list[Text]:
    """A line as a terminal shows it whole: broken between words, the rest indented. Elsewhere it stays."""
    if not console.is_terminal or line.cell_len <= console.width:
        return [line]
    first = line.wrap(console, console.width)[0]
    rest = line[len(first.plain) :]
    rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
    return [first, *(Text(_FURTHER).append_text(part) for part in rest.wrap(console, console.width - len(_FURTHER)))]


def decision(told: Told) -> Text:
    return Text(printable_line(told.decision), _STYLES.get(told.action, ""))


def paragraph(told: Told, *, with_host: bool = False) -> list[Text]:
    """A visit with all that is known of the decision, a line each."""
    lines = [Text(printable_line(str(told.row)))] * (told.row is not None) + [decision(told)]
    return [heading(told, with_host=with_host), *(Text("    ").append_text(line) for line in lines)]
