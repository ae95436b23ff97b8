# SPDX-License-Identifier: MIT
"""Builds docs/json.md and docs/json.schema.json from the shapes. `script/docs` writes them; a test compares them."""

from collections.abc import Iterator
from importlib import resources
from string import Template
from typing import Any, Literal

from pydantic import TypeAdapter

from glb.ctl.shapes import ERROR, SHAPES

_DEFINITIONS = "#/$defs/"


def schema() -> dict[str, Any]:
    """The JSON Schema: `$defs` has the shapes, `commands` the output of each command, `error` the output of a
    failure."""
    wanted: list[tuple[str, Literal["serialization"], TypeAdapter[Any]]] = [
        (name, "serialization", TypeAdapter(shape)) for name, shape in (*SHAPES.items(), ("error", ERROR))
    ]
    found, shared = TypeAdapter.json_schemas(wanted, ref_template=_DEFINITIONS + "{model}")
    for shape in shared["$defs"].values():
        shape["required"] = list(shape.get("properties", ()))  # keys with a default are printed as well
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "commands": {command: found[command, "serialization"] for command in SHAPES},
        "error": found["error", "serialization"],
        "$defs": shared["$defs"],
    }


def page() -> str:
    """docs/json.md."""
    whole = schema()
    frame = Template((resources.files("glb.ctl") / "json_page.md").read_text())
    commands = "\n".join(f"| `glbctl {name}` | {_type(what)} |" for name, what in whole["commands"].items())
    shapes = "\n\n".join("\n".join(_shape(name, found)) for name, found in whole["$defs"].items())
    return frame.substitute(commands=commands, shapes=shapes)


def _shape(name: str, found: dict[str, Any]) -> Iterator[str]:
    yield f"### {_short(name)}"
    yield ""
    yield " ".join(found.get("description", "").split())
    if "enum" in found or "const" in found:
        yield ""
        yield f"One of {', '.join(f'`{value}`' for value in found.get('enum', [found.get('const')]))}."
    if "properties" in found:
        yield ""
        yield "| key | value |"
        yield "| --- | --- |"
        for key, what in found["properties"].items():
            yield f"| `{key}` | {_type(what)} |"


def _type(what: dict[str, Any]) -> str:
    """A schema in Markdown, such as "list of [Stats](#stats)"."""
    if "$ref" in what:
        name = _short(what["$ref"].removeprefix(_DEFINITIONS))
        return f"[{name}](#{name.lower()})"
    if "anyOf" in what:
        return " or ".join(map(_type, what["anyOf"]))
    if what.get("type") == "array":
        return _array(what)
    if what.get("type") == "object":
        values = what.get("additionalProperties")
        return f"object of {_type(values)} by name" if isinstance(values, dict) else "object"
    return str(what.get("type", "any"))


def _array(what: dict[str, Any]) -> str:
    if "prefixItems" in what:
        return f"[{', '.join(map(_type, what['prefixItems']))}]"
    return f"list of {_type(what['items'])}" if "items" in what else "list"


def _short(name: str) -> str:
    """Of names that two modules have, pydantic gives the path: "glb__doctor__finding__Finding"."""
    parts = name.split("__")
    return name if len(parts) == 1 else f"{parts[1].title()}{parts[-1]}"
