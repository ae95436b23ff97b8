# SPDX-License-Identifier: MIT
"""The results for people at a terminal."""

import sys
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from bench import report

_FILE_WIDTH = 150


def show(document: Mapping[str, report.Result]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)
    for table in report.tables(document):
        shown = RichTable(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
        for number, name in enumerate(table.header):
            shown.add_column(name, justify="right" if number else "left")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
    console.print(report.machine(document))
