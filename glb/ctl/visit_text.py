"""A packet's visit, in lines for people."""

from datetime import datetime

from rich.text import Text

from glb.capture.told import Told

_STYLES = {"drop": "red", "tx": "green"}


def heading(told: Told, *, with_host: bool = False) -> Text:
    """When and where it was, and the packet."""
    stamp = datetime.fromtimestamp(told.time).strftime("%H:%M:%S.%f")
    place = f"{told.host} {told.interface}" if with_host else told.interface
    packet = str(told.packet) if told.packet else f"{told.length} bytes that are no IP packet"
    return Text.assemble((stamp, "dim"), f" {place}  ", (packet, "bold"))


def decision(told: Told) -> Text:
    return Text(told.decision, _STYLES.get(told.action, ""))


def paragraph(told: Told, *, with_host: bool = False) -> list[Text]:
    """A visit with all that is known of the decision, a line each."""
    lines = [Text(str(told.row))] * (told.row is not None) + [decision(told)]
    return [heading(told, with_host=with_host), *(Text("    ").append_text(line) for line in lines)]
