# SPDX-License-Identifier: MIT
"""From the JSON files to the model, or to a ConfigError with every problem found."""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from glb.config.check import find_director_problems, find_problems, find_proxy_problems
from glb.config.field import MAX_PROBLEMS, FieldPath, Problem, raise_any, shown
from glb.config.github_object import intended_key, unknown_keys
from glb.config.json_text import parse_json
from glb.config.kinds import NonEmpty
from glb.config.model import DirectorConfig, ForwardingTables, ProxyConfig
from glb.config.note import Note, warning
from glb.config.schema import DirectorSource, ForwardingTablesSource, ProxySource
from glb.errors import ConfigError
from glb.printable import plural

GLBD_MAGIC = b"GLBD"
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_OF_DPDK = {"num_worker_queues", "flow_paths", "lcores", "kni_ip", "rx_drop_en"}
"""Keys of a director's configuration that only the DPDK version of glb-director uses."""

_DISTINCTIVE = {"tables": "a source of forwarding tables", "outbound_src_ip": "a director's configuration"}
"""Keys that only one kind of file has, and the name of that kind."""

AnySource = TypeVar("AnySource", bound=BaseModel)


def parse_tables(text: str, name: str) -> ForwardingTables:
    """Validate a forwarding table's source; `name` is the file's, for the messages. Raises ConfigError."""
    raw = parse_json(text, name)
    typos, notes = _judge_keys(ForwardingTablesSource, raw)
    tables = validate(ForwardingTablesSource, raw, name, typos).to_model()
    raise_any(name, find_problems(tables))
    return replace(tables, notes=notes)


def parse_director(text: str, name: str) -> DirectorConfig:
    """Validate a director's configuration; `name` is the file's, for the messages. Raises ConfigError."""
    raw = parse_json(text, name)
    typos, notes = _judge_keys(DirectorSource, raw)
    config = validate(DirectorSource, raw, name, typos).to_model()
    raise_any(name, find_director_problems(config))
    return replace(config, notes=notes)


def parse_proxy(text: str, name: str) -> ProxyConfig:
    """Validate a proxy's configuration; `name` is the file's, for the messages. Raises ConfigError."""
    config = validate(ProxySource, parse_json(text, name), name).to_model()
    raise_any(name, find_proxy_problems(config))
    return config


def decode_text(data: bytes, name: str) -> str:
    """The text of a JSON file's content; `name` is the file's, for the messages. Raises as `read_text`."""
    if data.startswith(GLBD_MAGIC):
        raise ConfigError(f"{name}: a GLBD binary; give the JSON source that it was built from")
    if data.startswith(_UTF_16_MARKS):
        raise ConfigError(f"{name}: the text is UTF-16; save it as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}: line {line}: byte {error.start} of the file is not UTF-8") from None


def _judge_keys(source: type[BaseModel], raw: object) -> tuple[list[Problem], tuple[Note, ...]]:
    """The unknown keys that resemble a known one, and warnings about the others, each key once per kind of object."""
    typos: list[Problem] = []
    others: dict[tuple[tuple[str, ...], str], list[FieldPath]] = {}
    for place, key, known in unknown_keys(source, raw):
        if intended := intended_key(key, known):
            typos.append(((*place, key), f'unknown key; did you mean "{intended}"?'))
        elif place or key not in _OF_DPDK:
            others.setdefault((known, key), []).append((*place, key))
    return typos, tuple(
        warning(
            places[0],
            "unknown key, which has no effect"
            + (f" (and at {plural(len(places) - 1, 'further place')})" if places[1:] else ""),
        )
        for places in others.values()
    )


def validate(source: type[AnySource], raw: object, name: str, further: Iterable[Problem] = ()) -> AnySource:
    """Parsed JSON validated by a schema. Raises ConfigError with its problems and the further ones."""
    try:
        valid = source.model_validate(raw)
    except ValidationError as error:
        raise_any(name, _another_kind(source, raw))
        found = error.errors(include_url=False)
        problems = [_problem(source, details) for details in found[:MAX_PROBLEMS]]  # each searches for the intended key
        raise_any(name, [*problems, *further], unshown=len(found) - len(problems))
        raise
    raise_any(name, further)
    return valid


def _another_kind(source: type[BaseModel], raw: object) -> Iterator[Problem]:
    """If the file is of another kind: only that, instead of each wrong key."""
    for key, what in _DISTINCTIVE.items():
        if isinstance(raw, dict) and key in raw and key not in source.model_fields:
            yield (), f"this is {what}, which its key {shown(key)} shows; another kind of file is needed here"


def _problem(source: type[BaseModel], details: ErrorDetails) -> Problem:
    place = details["loc"]
    match details["type"]:
        case "missing":
            return place, "missing" + _remedy(source, place)
        case "extra_forbidden":
            return place, _unknown_key(str(place[-1]), _known_keys(source, place[:-1]))
        case "model_type":
            return place, f"{shown(details['input'])} is not an object"
        case "tuple_type":
            return place, f"{shown(details['input'])} is not a list"
        case _:
            return place, details["msg"]


def _remedy(source: type[BaseModel], place: FieldPath) -> str:
    """What to do if a field of the file's outermost object is missing."""
    field = source.model_fields.get(str(place[-1])) if len(place) == 1 else None
    needs = [entry for entry in field.metadata if isinstance(entry, NonEmpty)] if field else []
    return "".join(f"; {need.remedy}" for need in needs)


def _unknown_key(key: str, known: list[str]) -> str:
    close = get_close_matches(key, known, n=1)
    if close:
        return f'unknown key; did you mean "{close[0]}"?'
    return f"unknown key; known are {', '.join(known)}"


def _known_keys(source: type[BaseModel], place: FieldPath) -> list[str]:
    """The keys of the object at `place`, found by walking down the schema's types."""
    for step in place:
        if isinstance(step, str):
            source = _object_type(source.model_fields[step].annotation)
    return [field.alias or name for name, field in source.model_fields.items()]


def _object_type(annotation: Any) -> type[BaseModel]:
    """The schema class in `X`, `X | None` or `tuple[X, ...]`."""
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
