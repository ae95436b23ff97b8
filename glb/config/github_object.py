# SPDX-License-Identifier: MIT
"""JSON objects of glb-director's format, read as glb-director reads them: null is a key that is not given, and unknown
keys have no effect. Pure.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from glb.config.field import FieldPath

LIKENESS = 0.8
"""The similarity to a known key from which on an unknown one is reported as a typo (difflib's ratio, 0 to 1)."""


class GitHubObject(BaseModel):
    """An object of the format. Of the keys that are not required, each may be null."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict) or None not in value.values():
            return value
        required = {field.alias or name for name, field in cls.model_fields.items() if field.is_required()}
        return {key: entry for key, entry in value.items() if entry is not None or key in required}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(schema)
        target = handler.resolve_ref_schema(made)
        for key, value in target.get("properties", {}).items():
            if key not in target.get("required", ()):
                target["properties"][key] = _or_null(value)
        return made


def _or_null(schema: JsonSchemaValue) -> JsonSchemaValue:
    null = {"type": "null"}
    if null in schema.get("anyOf", ()):
        return schema
    rest = {key: value for key, value in schema.items() if key != "default"}
    default = {"default": schema["default"]} if "default" in schema else {}
    return {"anyOf": [rest, null], **default}


def unknown_keys(source: type[BaseModel], raw: object) -> Iterator[tuple[FieldPath, str, tuple[str, ...]]]:
    """The keys of a document that its schema does not know: the place of the object, the key, and the known keys.

    Only objects of glb-director's format are searched: in others, an unknown key is an error already.
    """
    waiting: list[tuple[FieldPath, type[BaseModel], object]] = [((), source, raw)]
    while waiting:
        place, model, value = waiting.pop()
        if not isinstance(value, dict):
            continue
        known, below = _keys(model)
        for key in value:
            if key not in below:
                yield place, key, known
        inside: list[tuple[FieldPath, type[BaseModel], object]] = []
        for key, inner in below.items():
            found = value.get(key)
            if inner is not None and isinstance(found, list):
                inside += [((*place, key, index), inner, entry) for index, entry in enumerate(found)]
            elif inner is not None:
                inside.append(((*place, key), inner, found))
        waiting += reversed(inside)


@lru_cache
def intended_key(key: str, known: tuple[str, ...]) -> str | None:
    """The known key of which an unknown one is likely a typo."""
    return next(iter(get_close_matches(key, known, n=1, cutoff=LIKENESS)), None)


@lru_cache
def _keys(model: type[BaseModel]) -> tuple[tuple[str, ...], Mapping[str, type[BaseModel] | None]]:
    """The keys of an object in their order, and for each key the objects of the format below it."""
    below = {field.alias or name: _github_object(field.annotation) for name, field in model.model_fields.items()}
    return tuple(below), below


def _github_object(annotation: Any) -> type[BaseModel] | None:
    """The class in `X`, `X | None` or `tuple[X, ...]`, if it is an object of the format."""
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, GitHubObject)), None)
