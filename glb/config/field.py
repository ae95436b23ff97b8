# SPDX-License-Identifier: MIT
"""Fields of a file as text, and problems as lines that name them. Pure."""

import json
from collections.abc import Iterable, Sequence

from glb.errors import ConfigError

FieldPath = tuple[str | int, ...]
Problem = tuple[FieldPath, str]

SHOWN_LENGTH = 60
MAX_PROBLEMS = 100
"""The most lines of problems, since a report and a log keep them."""


def shown(value: object) -> str:
    """A wrong value as in the file, shortened to fit a line."""
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = json.dumps(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 3]}..."


def field_text(place: FieldPath) -> str:
    """("tables", 0, "backends") as text: tables[0].backends."""
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{_key(step)}" if path else _key(step)
    return path


def raise_any(name: str, problems: Iterable[Problem], unshown: int = 0) -> None:
    """Raise a ConfigError, with a line for each problem of the file `name`, if there is one.

    unshown: the number of further problems.
    """
    lines = [line(name, problem) for problem in problems]
    if lines:
        raise ConfigError(bounded(lines, unshown))


def bounded(lines: Sequence[str], unshown: int = 0) -> tuple[str, ...]:
    """The first MAX_PROBLEMS lines, and the number of the others."""
    unshown += len(lines[MAX_PROBLEMS:])
    further = (f"and {unshown} further problems",) if unshown else ()
    return (*lines[:MAX_PROBLEMS], *further)


def line(name: str, problem: Problem) -> str:
    """A problem as `file: field: what is wrong`."""
    place, what = problem
    return ": ".join(filter(None, (name, field_text(place), what)))


def _key(key: str) -> str:
    """A key; as JSON if it is not printable or too long for a line."""
    return key if key.isprintable() and len(key) <= SHOWN_LENGTH else shown(key)
