# SPDX-License-Identifier: MIT
"""The JSON Schemas of the configuration files, against what glb itself accepts and refuses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from glb.config.json_schema import File, build
from glb.config.parse import parse_director, parse_proxy, parse_tables
from glb.ctl.main import app
from glb.ctl.schema import read
from glb.lab import config_files, hosts
from glb.lab.routing import LabRouter, LabRouting, LabSpeaker
from tests.unit import sources
from tests.unit.github_files import FILES
from tests.unit.test_config import MALFORMED_DIRECTORS, MALFORMED_PROXIES, MALFORMED_TABLES, SOURCES, put

ROOT = Path(__file__).parents[2]
PARSE = {File.DIRECTOR: parse_director, File.PROXY: parse_proxy, File.TABLE: parse_tables}

RELATIONS = {
    "a backend that is many hosts", "a backend twice", "only inactive backends", "host bits", "a range backwards",
    "a name twice", "a name with an escape", "a size without the gue check",
    "statuses in the wrong order", "a check of a VIP that is not there", "a broadcast address",
    "a slip of the pen", "a source twice", "a namespace twice", "an agent everywhere",
    "a port with a point",
    "an unknown check", "an unknown key of a table", "an unknown key at the top", "an unknown field",
}  # fmt: skip
"""What a schema cannot express: values compared with each other, the meaning of an address, and the likeness of an
unknown key to a known one. To JSON Schema, 53.0 is 53."""


def malformed() -> Iterator[tuple[str, File, Any]]:
    for name, path, value, _ in MALFORMED_TABLES:
        yield name, File.TABLE, put(sources.tables(), path, value)
    for name, path, value, _ in MALFORMED_DIRECTORS:
        yield name, File.DIRECTOR, put(sources.director(), path, value)
    for name, source, _ in MALFORMED_PROXIES:
        yield name, File.PROXY, SOURCES | source
    yield "no sources", File.PROXY, {}
    yield "empty sources", File.PROXY, {"sources": []}


def well_formed() -> Iterator[tuple[str, File, Any]]:
    director, proxies = hosts.director(1), [hosts.proxy(1), hosts.proxy(2)]
    yield "tables", File.TABLE, sources.tables()
    yield "director", File.DIRECTOR, sources.director()
    yield "routing none", File.DIRECTOR, sources.director() | {"routing": "none"}
    yield "agent off", File.PROXY, SOURCES | {"agent": False, "vips": ["203.0.113.0/24", "2001:db8::1"]}
    for name, files in FILES.items():
        yield name, File.TABLE, files
    yield "a statsd port as text", File.DIRECTOR, sources.director() | {"statsd_port": "28125"}
    yield "director of nulls", File.DIRECTOR, sources.director() | {"statsd_port": 0, "hash_fields": None, "mtu": None}
    yield "lab table", File.TABLE, json.loads(config_files.forwarding_table(proxies))
    yield "lab proxy", File.PROXY, json.loads(config_files.proxy(proxies[0]))
    for speaker in (None, LabSpeaker.BIRD, LabSpeaker.EXABGP):
        routing = LabRouting(speaker, LabRouter.BIRD, bfd=speaker is LabSpeaker.BIRD) if speaker else None
        yield f"lab director {speaker}", File.DIRECTOR, json.loads(config_files.director(director, routing))


def accepts(file: File, document: object) -> bool:
    return bool(Draft202012Validator(json.loads(read(file))).is_valid(document))


@pytest.mark.parametrize("file", File)
def test_the_schemas_are_valid_and_up_to_date(file: File) -> None:
    configuration, health = ((ROOT / "docs" / f"{page}.md").read_text() for page in ("configuration", "health"))

    Draft202012Validator.check_schema(json.loads(read(file)))
    assert read(file) == build(file, configuration, health), "run script/docs"


@pytest.mark.parametrize(
    ("file", "document"), [case[1:] for case in well_formed()], ids=[case[0] for case in well_formed()]
)
def test_accepted_files_match_the_schema(file: File, document: dict[str, Any]) -> None:
    named = document | {"$schema": "x.schema.json"}

    assert accepts(file, document)
    assert accepts(file, named)
    assert PARSE[file](json.dumps(named), "file") == PARSE[file](json.dumps(document), "file")


@pytest.mark.parametrize(("name", "file", "document"), list(malformed()), ids=[case[0] for case in malformed()])
def test_what_glb_refuses_for_its_form_the_schema_refuses(name: str, file: File, document: object) -> None:
    assert accepts(file, document) == (name in RELATIONS)


@pytest.mark.parametrize(
    "routing",
    [
        {"speaker": "bird"},
        {"speaker": "bird", "local_as": 1},
        {"speaker": "bird", "local_as": 1, "peers": []},
        {"speaker": "exabgp", "control": "/run/bird.ctl"},
        {"speaker": "bird", "control": "/run/bird.ctl", "local_as": 1},
    ],
)
def test_contradictions_of_routing_do_not_fit_the_schema(routing: dict[str, Any]) -> None:
    assert not accepts(File.DIRECTOR, sources.director() | {"routing": routing})
    assert accepts(File.DIRECTOR, sources.director() | {"routing": {"speaker": "bird", "control": "/run/bird.ctl"}})


def test_each_key_has_a_description_except_a_few_of_a_pair() -> None:
    """Keys that a page describes together with another one."""
    bare = {key for file in File for key in _undescribed(json.loads(read(file)))}

    hash_fields = {"src_addr", "dst_addr", "src_port", "dst_port"}
    assert bare <= hash_fields | {"listen", "port", "sources", "http_uri", "https_verify"}


def _undescribed(schema: dict[str, Any]) -> Iterator[str]:
    for model in (schema, *schema["$defs"].values()):
        yield from (key for key, value in model["properties"].items() if "description" not in value)


def test_glbctl_prints_a_schema() -> None:
    result = CliRunner().invoke(app, ["schema", "director"])

    assert (result.exit_code, json.loads(result.stdout)["title"]) == (0, "glb: director.conf")
