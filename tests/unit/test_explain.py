"""Every verdict and warning is explained, and the page says the same."""

from pathlib import Path

import pytest

import glb
from glb.datapath.verdicts import verdicts_of
from glb.explain.page import page
from glb.explain.texts import PROGRAMS, WARNINGS, ExplainError, Text, find, texts

ROOT = Path(glb.__file__).parents[1]
SOURCES = "".join(path.read_text() for path in (ROOT / "glb").rglob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_verdict_has_its_text_and_no_text_is_of_a_verdict_that_is_gone(program: str) -> None:
    names = [verdict.name for verdict in verdicts_of(program) if verdict.name != "continue"]
    written = (ROOT / "glb" / "explain" / f"{program}.toml").read_text()

    assert [text.name for text in texts() if text.subject == program] == names
    assert written.count("\n[") == len(names)


@pytest.mark.parametrize("text", [text for text in texts() if text.subject == WARNINGS], ids=lambda text: text.name)
def test_a_warning_is_recognized_by_words_that_glb_says(text: Text) -> None:
    assert text.says is not None
    assert text.says in SOURCES


def test_the_page_is_built_from_the_texts() -> None:
    assert (ROOT / "docs" / "verdicts.md").read_text() == page(), "run script/docs"


def test_a_verdict_of_both_programs_is_explained_for_both() -> None:
    assert [text.subject for text in find("drop_no_state")] == ["director", "proxy"]


def test_the_beginning_of_names_finds_them_all() -> None:
    assert {text.name for text in find("answered")} == {"answered_echo", "answered_too_big"}


def test_a_line_of_a_log_is_explained() -> None:
    line = "2026-11-25 05:00:00,000 WARNING eth0: no next hop is known yet to 10.0.0.11"

    assert [text.name for text in find(line)] == ["next_hop_unknown"]


def test_an_unknown_name_is_answered_with_those_most_alike() -> None:
    with pytest.raises(ExplainError, match="did you mean drop_bad_inner"):
        find("drop_bad_iner")
