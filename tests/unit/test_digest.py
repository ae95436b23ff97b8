# SPDX-License-Identifier: MIT
"""One digest for all files that mean the same tables."""

import json
from typing import Any

import pytest

from glb.config.parse import parse_tables
from glb.director.sources import Sources, read
from glb.table import glbd
from glb.table.digest import digest_of_binary, digest_of_source
from tests.unit import sources


def digest(raw: Any, **layout: Any) -> str:
    return digest_of_source(parse_tables(json.dumps(raw, **layout), "ft.json"))


def with_default_written_out(raw: Any) -> Any:
    return sources.put(raw, "tables.0.depth", 3)


SAME = [
    ("spaces", lambda raw: json.loads(json.dumps(raw))),
    ("the order of keys", lambda raw: dict(reversed(raw.items()))),
    ("a default that is written out", with_default_written_out),
    ("the case of a key", lambda raw: sources.put(raw, "tables.1.hash_key", "0123456789abcdef0123456789abcdef")),
    ("the order of backends", lambda raw: sources.put(raw, "tables.0.backends", raw["tables"][0]["backends"][::-1])),
    ("the order of binds", lambda raw: sources.put(raw, "tables.0.binds", raw["tables"][0]["binds"][::-1])),
    ("health", lambda raw: sources.put(raw, "tables.0.backends.0.healthy", False)),
]
OTHER = [
    ("a name", "tables.0.name", "www"),
    ("a hash key", "tables.0.hash_key", "ff" * 16),
    ("a seed", "tables.0.seed", "ff" * 16),
    ("a depth", "tables.0.depth", 2),
    ("a port", "tables.0.binds.0.port", 81),
    ("a state", "tables.0.backends.0.state", "draining"),
    ("a weight", "tables.0.backends.0.weight", 2),
    ("a zone", "tables.0.backends.0.zone", "rack1"),
    ("a check", "tables.0.backends.0.healthchecks.http", 8080),
    ("a check's size", "tables.0.backends.0.healthchecks.gue_size", 1500),
    ("a policy", "healthchecks.interval_ms", 600),
]


@pytest.mark.parametrize("revise", [case[1] for case in SAME], ids=[case[0] for case in SAME])
@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}], ids=["plain", "indented", "dense"])
def test_equal_tables_have_equal_digests(revise: Any, layout: dict[str, Any]) -> None:
    assert digest(revise(sources.tables()), **layout) == digest(sources.tables())


@pytest.mark.parametrize(("place", "value"), [case[1:] for case in OTHER], ids=[case[0] for case in OTHER])
def test_other_tables_have_another_digest(place: str, value: Any) -> None:
    assert digest(sources.put(sources.tables(), place, value)) != digest(sources.tables())


def test_order_of_tables_changes_the_digest() -> None:
    reversed_order = sources.put(sources.tables(), "tables", sources.tables()["tables"][::-1])

    assert digest(reversed_order) != digest(sources.tables())


def test_digest_ignores_configuration_and_formatting(tmp_path: Any) -> None:
    config = sources.put(sources.director(), "outbound_src_ip", "10.0.0.101")
    for name, conf, layout in (("one", sources.director(), {}), ("two", config, {"indent": 4})):
        (tmp_path / f"{name}.conf").write_text(json.dumps(conf))
        (tmp_path / f"{name}.json").write_text(json.dumps(sources.tables(), **layout))

    one, two = (read(Sources(tmp_path / f"{name}.conf", tmp_path / f"{name}.json")) for name in ("one", "two"))

    assert one.tables_digest == two.tables_digest
    assert one.digest != two.digest


def test_the_digest_of_a_binary_is_of_what_it_holds() -> None:
    def built(raw: Any) -> str:
        return digest_of_binary(glbd.decode(glbd.encode(parse_tables(json.dumps(raw), "ft.json")), "ft.bin"))

    original = built(sources.tables())

    assert built(sources.put(sources.tables(), "tables.0.name", "www")) == original
    assert built(sources.put(sources.tables(), "tables.0.backends.0.state", "draining")) != original
    assert built(sources.put(sources.tables(), "tables.0.seed", "ff" * 16)) != original
