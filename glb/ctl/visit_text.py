# SPDX-License-Identifier: MIT
"""A packet's visit, in lines for people."""

from datetime import datetime

from rich.console import Console
from rich.text import Text

from glb.capture.told import Told
from glb.printable import printable_line

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
