# SPDX-License-Identifier: MIT
"""What glbctl prints to a pipe is not wrapped: a program or a pager reads it."""

import io

import pytest
from rich.padding import Padding

from glb.ctl.explain import _render
from glb.ctl.output import SafeConsole, grid
from glb.explain.texts import texts

LONG = "drop_no_next_hop " * 20


@pytest.fixture(autouse=True)
def _no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # which parallel tests have


def piped(*renderables: object, columns: int | None = None) -> list[str]:
    out = io.StringIO()
    console = SafeConsole(file=out, highlight=False, markup=False, width=columns)
    for renderable in renderables:
        console.print(renderable)
    return out.getvalue().splitlines()


def test_a_piped_table_has_one_line_for_each_row() -> None:
    table = grid("name", "meaning")
    table.add_row("a", LONG.strip())
    table.add_row("b", "short")

    for lines in (piped(table), [line[2:] for line in piped(Padding(table, (0, 0, 0, 2), expand=False))]):
        assert [line.rstrip() for line in lines] == ["name  meaning", f"a     {LONG.strip()}", "b     short"]
        assert max(map(len, lines)) < len(LONG) + 10


def test_piped_prose_is_one_line_per_paragraph() -> None:
    assert piped(LONG.strip()) == [LONG.strip()]


def test_a_piped_explanation_has_a_line_per_field() -> None:
    text = texts()[0]
    lines = [line.strip() for line in piped(_render(text))]

    assert f"causes  {text.causes}" in lines
    assert len([line for line in lines if line]) == 4


def test_a_width_that_is_given_wraps_in_a_pipe_too() -> None:
    assert max(map(len, piped(LONG, columns=40))) <= 40
