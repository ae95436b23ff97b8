# SPDX-License-Identifier: MIT
"""JSON Schemas (2020-12) of the configuration files, for editors. Pure.

The structure comes from the pydantic models, the descriptions from the tables of docs/configuration.md and
docs/health.md. `script/docs` writes the schemas to glb/config/schemas/.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from glb.config.schema import DirectorSource, ForwardingTablesSource, ProxySource

Schema = dict[str, Any]


class File(StrEnum):
    """The files that have a schema."""

    DIRECTOR = "director"
    PROXY = "proxy"
    TABLE = "table"


_SOURCES: Mapping[File, type[BaseModel]] = {
    File.DIRECTOR: DirectorSource,
    File.PROXY: ProxySource,
    File.TABLE: ForwardingTablesSource,
}
_TITLES = {File.DIRECTOR: "director.conf", File.PROXY: "proxy.conf", File.TABLE: "forwarding_table.json"}
_EDITOR = "The JSON Schema by which an editor checks this file; glb does not read it."
_HEALTH_MODELS = ("PolicySource", "HealthCheckDefaultsSource", "HealthChecksSource")

_KEYS = {
    "DirectorSource": "",
    "ProxySource": "",
    "ForwardingTablesSource": "",
    "TableSource": "tables[].",
    "BindSource": "binds[].",
    "BackendSource": "backends[].",
    "RoutingSource": "",
    "PeerSource": "peers[].",
}
"""The prefix of a model's keys in the tables of docs/configuration.md."""


def build(file: File, configuration: str, health: str) -> str:
    """The schema of a file as JSON text. configuration, health: the texts of the two pages in docs/."""
    source = _SOURCES[file]
    words = _descriptions(configuration, _TITLES[file]), _descriptions(health)
    schema = source.model_json_schema(by_alias=True)
    shared = {name: _described(name, model, *words) for name, model in schema.pop("$defs", {}).items()}
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    whole |= _described(source.__name__, schema, *words) | {"title": f"glb: {_TITLES[file]}"}
    return json.dumps(whole | {"$defs": shared}, indent=2, ensure_ascii=False) + "\n"


def _described(name: str, model: Schema, configuration: Mapping[str, str], health: Mapping[str, str]) -> Schema:
    """A model's schema with the pages' descriptions, without what pydantic adds of Python."""
    found = {key: value for key, value in model.items() if key not in ("title", "description")}
    for key, value in found.get("properties", {}).items():
        value.pop("title", None)
        if not isinstance(value.get("default"), bool | int | float | str):
            value.pop("default", None)
        description = health.get(key) if name in _HEALTH_MODELS else configuration.get(f"{_KEYS.get(name, '')}{key}")
        if key == "$schema":
            description = _EDITOR
        if description:
            value["description"] = description
    return found


def _descriptions(page: str, title: str | None = None) -> dict[str, str]:
    """The last column of tables whose first column has a key, by key. title: of the section, the whole page if None."""
    text = page if title is None else _section(page, title)
    rows = re.findall(r"^\|\s*(`[^|]*?)\s*\|(.*)\|\s*$", text, re.MULTILINE)
    return {key: _plain(rest.split(" | ")[-1]) for keys, rest in rows for key in re.findall(r"`([^`]+)`", keys)}


def _section(page: str, title: str) -> str:
    """From a heading of the second level to the next."""
    found = re.search(rf"^## {re.escape(title)}\b.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"docs/configuration.md has no section {title}")
    return found[0]


def _plain(markdown: str) -> str:
    """Markdown without links and marks."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown).replace(" †", "").strip()
