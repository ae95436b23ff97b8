# SPDX-License-Identifier: MIT
"""The texts, from the TOML files in this folder. A verdict's meaning is only in its definition in C."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources

from glb.datapath.verdicts import verdicts_of
from glb.errors import ExplainError

PROGRAMS = ("director", "proxy")
WARNINGS = "warnings"


@dataclass(frozen=True, slots=True)
class ExplainText:
    """The explanation of a verdict or a warning.

    subject: "director", "proxy" or "warnings". action: the XDP action; None for a warning. says: a part of the message
    by which a warning is recognized; None for a verdict.
    """

    subject: str
    name: str
    meaning: str
    causes: str
    remedy: str
    action: str | None = None
    says: str | None = None


@cache
def texts() -> tuple[ExplainText, ...]:
    """All texts: the verdicts in the order of their counters, then the warnings.

    Raises ExplainError if a verdict has no text, which is a fault of the installation.
    """
    return tuple(text for subject in PROGRAMS for text in _verdicts(subject)) + tuple(_warnings())


def explained_verdicts(program: str) -> list[ExplainText]:
    """The verdicts of "director" or "proxy"."""
    return [text for text in texts() if text.subject == program]


def find(query: str) -> tuple[ExplainText, ...]:
    """The texts for a name, the beginning of names, or a line of a log.

    Raises ExplainError, with the most similar names, if there is none.
    """
    name = query.strip().lower()
    exact = [text for text in texts() if text.name == name]
    begun = [text for text in texts() if text.name.startswith(name)]
    said = [text for text in texts() if text.says and text.says.lower() in name]
    found = exact or said or begun
    if not name or not found:
        raise ExplainError(_unknown(name))
    return tuple(found)


def _verdicts(program: str) -> Iterator[ExplainText]:
    written = _read(program)
    for verdict in verdicts_of(program):
        if verdict.name == "continue":
            continue
        if verdict.name not in written:
            raise ExplainError(f"glb/explain/{program}.toml: {verdict.name}: no text; write causes and remedy for it")
        yield ExplainText(program, verdict.name, verdict.meaning, action=verdict.action, **written[verdict.name])


def _warnings() -> Iterator[ExplainText]:
    for name, entry in _read(WARNINGS).items():
        yield ExplainText(WARNINGS, name, **entry)


def _read(subject: str) -> dict[str, dict[str, str]]:
    return tomllib.loads((resources.files("glb.explain") / f"{subject}.toml").read_text())


def _unknown(name: str) -> str:
    names = sorted({text.name for text in texts()})
    alike = get_close_matches(name, names, n=3)
    hint = f"did you mean {', '.join(alike)}?" if alike else "`glbctl explain` lists all names"
    return f'"{name}" is neither a verdict nor a warning; {hint}'
