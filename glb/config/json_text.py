# SPDX-License-Identifier: MIT
"""JSON text to Python values, strictly, in time proportional to the text. Source: RFC 8259.

Errors are: a repeated key (RFC 8259 does not define which one counts), a number that no field can hold, a string that
is not Unicode, and too deep nesting. Each is reported with its line and column, or with its field.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from glb.config.field import FieldPath, Problem, raise_any, shown
from glb.errors import ConfigError

MAX_DEPTH = 64
"""Levels of objects and lists; the deepest field of glb's files is at level 6."""

_MAX_DIGITS = 100  # far beyond the range of all fields; Python itself refuses 4,300

_FAULTS = {
    "Expecting value": "a value is expected here: an object, a list, a text, a number, true, false or null",
    "Expecting property name enclosed in double quotes": "a key in double quotes is expected here",
    "Expecting ':' delimiter": 'a ":" is expected here, between the key and its value',
    "Expecting ',' delimiter": 'a "," or the closing bracket is expected here',
    "Illegal trailing comma before end of object": 'this "," has no further key after it; remove it',
    "Illegal trailing comma before end of array": 'this "," has no further value after it; remove it',
    "Unterminated string starting at": "the text that begins here has no closing quote",
    "Invalid control character at": r"a control character inside a text; write it as \n, \t or \u001f",
    "Invalid \\escape": r"an unknown escape; JSON has \" \\ \/ \b \f \n \r \t and \u with 4 hex digits",
    "Invalid \\escape: ": r"an unknown escape; JSON has \" \\ \/ \b \f \n \r \t and \u with 4 hex digits",
    "Invalid \\uXXXX escape": r"\u needs 4 hex digits after it",
    "Extra data": "the document has ended before this; a file holds one object",
}
"""Messages of Python's parser, and the same in JSON's terms."""


@dataclass(frozen=True, slots=True)
class _Unfit:
    """A placeholder for a value that no field accepts. reason: why not."""

    reason: str


class _Object(dict[str, Any]):
    """A JSON object, and the keys that it contains more than once."""

    repeated: tuple[str, ...] = ()


def parse_json(text: str, name: str) -> Any:
    """The value of a JSON text; `name` is the file's, for the messages. Raises ConfigError.

    A byte order mark at its beginning is ignored (RFC 8259, 8.1).
    """
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise ConfigError(f"{name}: the file is empty")
    try:
        raw = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=lambda constant: _Unfit(f"{constant} is not JSON"),
            parse_int=_integer,
            parse_float=_float,
        )
    except json.JSONDecodeError as error:
        fault = _FAULTS.get(error.msg, error.msg)
        raise ConfigError(f"{name}: line {error.lineno}, column {error.colno}: {fault}") from None
    except RecursionError:
        raise _too_deep(name) from None
    raise_any(name, _faults(raw, name))
    return raw


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        made.repeated = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return made


def _integer(text: str) -> int | _Unfit:
    if len(text) > _MAX_DIGITS:
        return _Unfit(f"a number of {len(text)} digits; no field accepts one so large")
    return int(text)


def _float(text: str) -> float | _Unfit:
    value = float(text)
    return value if math.isfinite(value) else _Unfit(f"{text[:_MAX_DIGITS]} is a number that no field can hold")


def _faults(raw: object, name: str) -> Iterator[Problem]:
    """Faults that the parser accepts, in the order of the text. Not recursive, since nesting may be deep."""
    waiting: list[tuple[FieldPath, object]] = [((), raw)]
    while waiting:
        place, value = waiting.pop()
        if len(place) > MAX_DEPTH:
            raise _too_deep(name)
        if isinstance(value, _Unfit):
            yield place, value.reason
        elif isinstance(value, str) and not _is_unicode(value):
            yield place, f"{shown(value)} has half of a surrogate pair, which is no character"
        elif isinstance(value, _Object):
            yield from _faulty_keys(value, place)
            waiting += [((*place, key), inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [((*place, index), inner) for index, inner in reversed(tuple(enumerate(value)))]


def _faulty_keys(value: _Object, place: FieldPath) -> Iterator[Problem]:
    for key in value.repeated:
        yield (*place, key), "the key occurs more than once"
    for key in value:
        if not _is_unicode(key):
            yield (*place, key), "the key has half of a surrogate pair, which is no character"


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _too_deep(name: str) -> ConfigError:
    return ConfigError(f"{name}: nested too deeply; at most {MAX_DEPTH} levels are read")
