# SPDX-License-Identifier: MIT
"""The results in docs/: the page's tables, the picture, and all figures as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path

from bench import report, svg

_DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, PICTURE, FIGURES = (_DOCS / f"benchmarks.{suffix}" for suffix in ("md", "svg", "json"))
_BEGIN = "<!-- script/bench --write puts its results here -->"
_END = "<!-- end of the results -->"


def write(measured: Mapping[str, report.Result]) -> None:
    """Replace the results of the parts that were measured; the others stay as they are."""
    document = {**(json.loads(FIGURES.read_text()) if FIGURES.exists() else {}), **measured}
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}\n\n{_results(document)}\n{_END}{after}")
    PICTURE.write_text(svg.picture(document))
    FIGURES.write_text(to_json(document))


def to_json(document: Mapping[str, report.Result]) -> str:
    return json.dumps(document, indent=1) + "\n"


def _results(document: Mapping[str, report.Result]) -> str:
    parts = [_markdown(table) for table in report.tables(document)]
    lines = "\n".join(f"- {line}" for line in report.machine(document).splitlines())
    return "\n".join([*parts, "Measured on:", "", lines, ""])


def _markdown(table: report.Table) -> str:
    rule = ["---", *["---:"] * (len(table.header) - 1)]
    lines = [_line(row) for row in (table.header, rule, *table.rows)]
    return "\n".join([f"### {table.title}", "", *lines, ""])


def _line(cells: object) -> str:
    assert isinstance(cells, (list, tuple))
    return f"| {' | '.join(cells)} |"
