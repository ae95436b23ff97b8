# SPDX-License-Identifier: MIT
"""What commands print with -o json is what docs/json.md says."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from glb.ctl.json_page import page, schema
from glb.ctl.main import app, full_command
from glb.ctl.shapes import SHAPES, command_of, problem_with
from tests.unit import sources

DOCS = Path(__file__).parents[2] / "docs"


def commands() -> dict[str, list[str]]:
    """The options of each command, by its name."""
    found: dict[str, list[str]] = {}

    def visit(command: object, name: str) -> None:
        for child, inner in getattr(command, "commands", {}).items():
            visit(inner, f"{name} {child}".strip())
        if not hasattr(command, "commands"):
            found[name] = [option for parameter in command.params for option in parameter.opts]  # type: ignore[attr-defined]

    visit(full_command(), "")
    return found


def test_each_command_that_prints_json_has_a_shape() -> None:
    assert {name for name, options in commands().items() if "--output" in options} == set(SHAPES)


def test_the_page_and_the_schema_are_current() -> None:
    """After a change: script/docs"""
    assert (DOCS / "json.md").read_text() == page()
    assert json.loads((DOCS / "json.schema.json").read_text()) == schema()


def test_a_wrong_or_missing_key_is_noticed() -> None:
    good = {"file": "a", "good": True, "errors": [], "warnings": [], "tables": ["web"], "differences": []}

    assert problem_with("check", [good]) is None
    assert problem_with("stats", []) is None
    with pytest.raises(ValueError, match="extra_forbidden"):
        problem_with("check", [good | {"another": 1}])
    with pytest.raises(ValueError, match="missing"):
        problem_with("check", [{"file": "a"}])


@pytest.mark.parametrize(
    "line",
    [
        "check --table {table}",
        "explain",
        "explain drop_no_next_hop",
        "lookup {table} 198.51.100.7:4711 203.0.113.10:443",
        "lookup {table} 198.51.100.7:4711 192.0.2.1:9",
        "simulate --list",
        "simulate --safety",
        "simulate director-loss --connections 1000",
        "table build {table} {folder}/tables.bin",
        "table diff {table} {other}",
        "table plan {other} --against {table}",
        "table show {table} --rows 7-9",
    ],
)
def test_a_command_prints_its_shape(line: str, tmp_path: Path) -> None:
    table, other = tmp_path / "tables.json", tmp_path / "other.json"
    source = sources.tables()
    table.write_text(json.dumps(source))
    source["tables"][0]["backends"].pop()
    other.write_text(json.dumps(source))
    words = line.format(table=table, other=other, folder=tmp_path).split()

    done = CliRunner().invoke(app, [*words, "-o", "json"])

    assert problem_with(command_of(words), json.loads(done.stdout)) is None
