# SPDX-License-Identifier: MIT
"""The OpenAPI 3.1 description of routes. pydantic makes the schemas."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from glb.control.routes import ApiInput, ApiRoute, InputPlace

Key = tuple[str, str]
_Mode = Literal["validation", "serialization"]
_SCHEMAS = "#/components/schemas/{model}"


class ErrorResponse(BaseModel):
    """What is wrong, where, and what to do."""

    detail: str


def describe(
    title: str, version: str, description: str, routes: Sequence[ApiRoute], bad_input: int, failed: int
) -> dict[str, Any]:
    """The description of an API. bad_input, failed: the HTTP statuses of its two kinds of errors."""
    wanted = [*_schemas(routes), (("error", ""), "serialization", TypeAdapter(ErrorResponse))]
    schemas, shared = TypeAdapter.json_schemas(wanted, ref_template=_SCHEMAS)
    found = {key: schema for (key, _), schema in schemas.items()}
    refusals = {
        str(bad_input): _answer("The request is not valid", found["error", ""]),
        str(failed): _answer("The request is refused, or cannot be done now", found["error", ""]),
    }
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = _operation(route, found, refusals)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description},
        "paths": paths,
        "components": {"schemas": shared["$defs"]},
    }


def _schemas(routes: Sequence[ApiRoute]) -> Iterator[tuple[Key, _Mode, TypeAdapter[Any]]]:
    for route in routes:
        name = f"{route.method} {route.path}"
        if route.answer is not None:
            yield (name, ""), "serialization", route.answer
        for wanted in route.inputs:
            yield (name, wanted.name), "validation", wanted.adapter


def _operation(route: ApiRoute, found: dict[Key, Any], refusals: dict[str, Any]) -> dict[str, Any]:
    name = f"{route.method} {route.path}"
    described = " ".join((route.handler.__doc__ or "").split())
    operation: dict[str, Any] = {
        "tags": [route.tag],
        "operationId": route.handler.__name__,
        "summary": described.partition(". ")[0].removesuffix("."),
        "description": described,
    }
    parameters = [
        _parameter(wanted, found[name, wanted.name]) for wanted in route.inputs if wanted.place != InputPlace.BODY
    ]
    if parameters:
        operation["parameters"] = parameters
    for body in (wanted for wanted in route.inputs if wanted.place == InputPlace.BODY):
        content = {"application/json": {"schema": found[name, body.name]}}
        operation["requestBody"] = {"required": body.required, "content": content}
    answer = found[name, ""] if route.answer is not None else {"type": "string"}
    operation["responses"] = {"200": _answer("Done", answer, route.media_type), **refusals}
    return operation


def _parameter(wanted: ApiInput, schema: Any) -> dict[str, Any]:
    return {"name": wanted.name, "in": wanted.place.value, "required": wanted.required, "schema": schema}


def _answer(description: str, schema: Any, media_type: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}
