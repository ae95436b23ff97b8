# SPDX-License-Identifier: MIT
"""Every verdict and warning is explained, and the page says the same."""

import ast
import re
from pathlib import Path

import pytest
import typer

import glb
from glb.ctl.main import app
from glb.datapath.verdicts import verdicts_of
from glb.errors import ExplainError
from glb.explain.page import page
from glb.explain.texts import PROGRAMS, WARNINGS, ExplainText, find, texts

ROOT = Path(glb.__file__).parents[1]
SOURCES = "".join(path.read_text() for path in (ROOT / "glb").rglob("*.py"))
LOUD = {"warning", "error", "exception", "critical"}


def warnings_in(path: Path) -> list[str]:
    """The messages that a file logs as a warning or worse, with their places for values; "" where it is not a text."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [
        call.args[0].value if isinstance(call.args[0], ast.Constant) else ""
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in LOUD and ast.unparse(call.func.value) == "log"
    ]


MESSAGES = [message for path in (ROOT / "glb").rglob("*.py") for message in warnings_in(path)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_verdict_has_a_text_and_no_text_is_left_over(program: str) -> None:
    names = [verdict.name for verdict in verdicts_of(program) if verdict.name != "continue"]
    written = (ROOT / "glb" / "explain" / f"{program}.toml").read_text()

    assert [text.name for text in texts() if text.subject == program] == names
    assert written.count("\n[") == len(names)


@pytest.mark.parametrize("text", [text for text in texts() if text.subject == WARNINGS], ids=lambda text: text.name)
def test_a_warning_is_recognized_by_words_that_glb_says(text: ExplainText) -> None:
    assert text.says is not None
    assert text.says in SOURCES


@pytest.mark.parametrize("message", MESSAGES)
def test_every_warning_in_a_log_has_its_text(message: str) -> None:
    said = [text.says for text in texts() if text.says is not None]

    assert any(piece in message for piece in said), "write what it means in glb/explain/warnings.toml"


@pytest.mark.parametrize("text", texts(), ids=lambda text: f"{text.subject}-{text.name}")
def test_the_commands_that_a_text_names_are_there(text: ExplainText) -> None:
    for words in re.findall(r"`glbctl ([a-z -]+)", f"{text.causes} {text.remedy}"):
        command = typer.main.get_command(app)
        for word in words.split():
            commands = getattr(command, "commands", {})
            if not commands or word.startswith("-"):
                break
            assert word in commands, f"glbctl {words}"
            command = commands[word]


def test_the_page_is_built_from_the_texts() -> None:
    assert (ROOT / "docs" / "verdicts.md").read_text() == page(), "run script/docs"


def test_a_verdict_of_both_programs_is_explained_for_both() -> None:
    assert [text.subject for text in find("drop_no_state")] == ["director", "proxy"]


def test_the_beginning_of_names_finds_them_all() -> None:
    assert {text.name for text in find("answered")} == {"answered_echo", "answered_too_big"}


def test_a_line_of_a_log_is_explained() -> None:
    line = "2026-11-25 05:00:00,000 WARNING eth0: no next hop to 10.0.0.11"

    assert [text.name for text in find(line)] == ["next_hop_unknown"]


def test_an_unknown_name_is_answered_with_those_most_alike() -> None:
    with pytest.raises(ExplainError, match="did you mean drop_bad_inner"):
        find("drop_bad_iner")
