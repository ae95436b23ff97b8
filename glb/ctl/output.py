# SPDX-License-Identifier: MIT
"""The output of glbctl: text for people, JSON for machines."""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import pairwise, takewhile
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from glb.printable import printable_text

_UNWRAPPED = 1 << 20


class SafeConsole(Console):
    """A console that escapes control characters in foreign text (other hosts, notes, answers of backends)."""

    @property
    def size(self) -> ConsoleDimensions:
        """The terminal's size. In a pipe or a file nothing is wrapped, unless $COLUMNS is set."""
        if self._width is None and not self.is_terminal:
            return ConsoleDimensions(_UNWRAPPED, super().size.height)
        return super().size

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape before the width is measured, so that nothing is cut off."""
        return super().render_str(printable_text(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Escape all text; rich marks its own control codes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable_text(segment.text))


# No markup: the brackets of an IPv6 address would be parsed as markup.
console = SafeConsole(highlight=False, markup=False)
errors = SafeConsole(stderr=True, highlight=False, markup=False, soft_wrap=True)


class Format(StrEnum):
    """The choices of -o."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[
    Format, typer.Option("--output", "-o", help="text for people, json for machines.", show_default=True)
]


def emit(output: Format, facts: Any, text: RenderableType) -> None:
    """Print the facts as JSON, or the text."""
    if output is Format.JSON:
        typer.echo(json.dumps(facts, indent=2, default=str))
    else:
        console.print(text)


def grid(*headers: str, numbers: tuple[str, ...] = ()) -> Table:
    """A table without lines; the columns in `numbers` are right-aligned."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, justify="right" if header in numbers else "left", overflow="fold")
    return table


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"


def warn(message: str) -> None:
    """A line on stderr; with -o json {"warning": message}."""
    if wants_json(sys.argv[1:]):
        typer.echo(json.dumps({"warning": message}), err=True)
    else:
        errors.print(message, style="yellow")


def complain(message: str, word: str = "error") -> None:
    """Print on stderr why the command fails. word: the beginning of the text.

    With -o json it is {"detail": message}, as the APIs have it; with --log json a line of the log.
    """
    if wants_json(sys.argv[1:]):
        typer.echo(json.dumps({"detail": message}), err=True)
    elif wants_json_log(sys.argv[1:]):
        from glb.daemon.log import json_line  # here, since only daemons' commands need it

        typer.echo(json_line(logging.ERROR, message), err=True)
    else:
        errors.print(f"{word}: {message}", style="red")


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command line, valid or not, selects JSON with -o json."""
    own = _own(arguments)
    apart = any(pair in (("-o", "json"), ("--output", "json")) for pair in pairwise(own))
    return apart or any(word in ("-ojson", "--output=json") for word in own)


def wants_json_log(arguments: Sequence[str]) -> bool:
    """Whether a command line, valid or not, has --log json, an option of `director run` and `proxy run`."""
    own = _own(arguments)
    return ("--log", "json") in pairwise(own) or "--log=json" in own


def _own(arguments: Sequence[str]) -> list[str]:
    """The arguments of glbctl itself, not of a command that it runs."""
    return list(takewhile(lambda word: word != "--", arguments))


def plain(line: str) -> str:
    """The text of a line that another glbctl has printed to stderr, as JSON or not."""
    try:
        printed = json.loads(line)
        return str(printed.get("detail", printed.get("warning", line)))
    except (ValueError, AttributeError):
        return line
