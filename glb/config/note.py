# SPDX-License-Identifier: MIT
"""Errors and warnings about a file's well-formed values."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from glb.config.field import FieldPath, bounded, line
from glb.errors import ConfigError


class Severity(StrEnum):
    """error: the file is refused. warning: it is loaded; a value may not have the intended effect."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Note:
    """place: the field. what: its value, the fault, and the remedy."""

    severity: Severity
    place: FieldPath
    what: str


def error(place: FieldPath, what: str) -> Note:
    return Note(Severity.ERROR, place, what)


def warning(place: FieldPath, what: str) -> Note:
    return Note(Severity.WARNING, place, what)


def lines(name: str, notes: Iterable[Note]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The errors and the warnings, as lines that name the file."""
    known = tuple(notes)
    errors, warnings = (
        tuple(line(name, (note.place, note.what)) for note in known if note.severity is severity)
        for severity in (Severity.ERROR, Severity.WARNING)
    )
    return errors, warnings


def warnings_of(*judged: tuple[str, Iterable[Note]]) -> tuple[str, ...]:
    """The warnings about files, each given with its name. Raises ConfigError with the errors about all of them."""
    found = [lines(name, notes) for name, notes in judged]
    if errors := [text for errors, _ in found for text in errors]:
        raise ConfigError(bounded(errors))
    return bounded([text for _, warnings in found for text in warnings])
