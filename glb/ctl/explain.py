# SPDX-License-Identifier: MIT
"""`glbctl explain`: the meaning of verdicts and warnings."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text as Line

from glb.ctl import complete
from glb.ctl.output import Format, Output, emit, grid
from glb.explain.texts import ExplainText, find, texts


def explain_command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            autocompletion=complete.verdicts,
            help="A verdict, the beginning of verdicts (such as drop), or a log line.",
        ),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Explain a verdict or a warning: meaning, usual causes, remedy. Without NAME: list all of them.

    glbctl explain drop_no_next_hop

    glbctl explain "eth0: no next hop to 10.0.0.11"
    """
    found = find(name) if name is not None else texts()
    emit(output, [asdict(text) for text in found], _list(found) if name is None else Group(*map(_render, found)))


def _list(found: tuple[ExplainText, ...]) -> Table:
    table = grid("of", "name", "meaning")
    for text in found:
        table.add_row(text.subject, text.name, text.meaning)
    return table


def _render(text: ExplainText) -> RenderableType:
    kind = f"{text.subject}, {text.action}" if text.action else "warning"
    lines = grid("", "")
    lines.show_header = False
    lines.add_row("means", text.meaning)
    lines.add_row("causes", text.causes)
    lines.add_row("to do", text.remedy)
    return Group(Line.assemble((text.name, "bold"), f"  ({kind})"), Padding(lines, (0, 0, 1, 2), expand=False))
