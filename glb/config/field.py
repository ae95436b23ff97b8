# SPDX-License-Identifier: MIT
"""Fields of a file as people write them, and problems as lines that name them. Pure."""

import json
from collections.abc import Iterable, Sequence

from glb.errors import ConfigError

FieldPath = tuple[str | int, ...]
Problem = tuple[FieldPath, str]

SHOWN_LENGTH = 60
MAX_PROBLEMS = 100
"""Lines that problems take at most: a report and a log keep them."""


def shown(value: object) -> str:
    """A wrong value as the file has it, cut to what a line can bear."""
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = json.dumps(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 3]}..."


def field_text(place: FieldPath) -> str:
    """("tables", 0, "backends") as people write it: tables[0].backends."""
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{_key(step)}" if path else _key(step)
    return path


def raise_any(name: str, problems: Iterable[Problem], unshown: int = 0) -> None:
    """Raise a ConfigError, a line for each problem of the file called `name`, unless there is none.

    unshown: how many problems there are beside these.
    """
    lines = [line(name, problem) for problem in problems]
    if lines:
        raise ConfigError(bounded(lines, unshown))


def bounded(lines: Sequence[str], unshown: int = 0) -> tuple[str, ...]:
    """As many lines as a report and a log can bear, and how many there are besides."""
    unshown += len(lines[MAX_PROBLEMS:])
    further = (f"and {unshown} further problems",) if unshown else ()
    return (*lines[:MAX_PROBLEMS], *further)


def line(name: str, problem: Problem) -> str:
    """A problem as `file: field: what is wrong`."""
    place, what = problem
    return ": ".join(filter(None, (name, field_text(place), what)))


def _key(key: str) -> str:
    """A key that would not print, or not fit on a line, as JSON has it."""
    return key if key.isprintable() and len(key) <= SHOWN_LENGTH else shown(key)
