# SPDX-License-Identifier: MIT
"""Files as JSON: what is accepted, and in which words the rest is refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from glb.config.field import MAX_PROBLEMS
from glb.config.json_files import load_tables
from glb.config.json_text import MAX_DEPTH
from glb.config.parse import parse_director, parse_proxy, parse_tables
from glb.errors import ConfigError
from tests.unit import sources
from tests.unit.sources import put

GROWTH = 4
ENTRIES = 60
GROWTH_BOUND = 4.2
"""Four times the entries: linear work takes at most 4 times the steps, quadratic work up to 16 times."""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_tables(text, "ft.json")
    return list(caught.value.problems)


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "ft.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(sources.tables()).encode())

    assert load_tables(path) == parse_tables(json.dumps(sources.tables()), "ft.json")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (json.dumps(sources.tables()).encode("utf-16"), "the text is UTF-16; save it as UTF-8"),
        (b'{"tables":\n"\xff"}', "line 2: byte 12 of the file is not UTF-8"),
        (b"\xef\xbb\xbf", "the file is empty"),
    ],
    ids=["utf-16", "not-utf-8", "a-mark-alone"],
)
def test_a_text_in_another_encoding_is_named(content: bytes, line: str, tmp_path: Path) -> None:
    path = tmp_path / "ft.json"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_tables(path)

    assert str(caught.value) == f"{path}: {line}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"tables": [,]}', "column 13: a value is expected here: an object, a list, a text, a number, true, false or "
         "null"),
        ("{tables: 1}", "column 2: a key in double quotes is expected here"),
        ("{'tables': 1}", "column 2: a key in double quotes is expected here"),
        ('{"tables" 1}', 'column 11: a ":" is expected here, between the key and its value'),
        ('{"tables": 1 "x": 2}', 'column 14: a "," or the closing bracket is expected here'),
        ('{"tables": "web}', "column 12: the text that begins here has no closing quote"),
        ('{"tables": "a\tb"}', r"column 14: a control character inside a text; write it as \n, \t or \u001f"),
        (r'{"tables": "\x41"}', r"column 13: an unknown escape; JSON has \" \\ \/ \b \f \n \r \t and \u with 4 hex "
         "digits"),
        (r'{"tables": "\u12"}', r"column 14: \u needs 4 hex digits after it"),
        ('{"tables": 1} x', "column 15: the document has ended before this; a file holds one object"),
    ],
)  # fmt: skip
def test_a_fault_of_syntax_is_explained_in_the_words_of_json(text: str, line: str) -> None:
    assert problems(text) == [f"ft.json: line 1, {line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"tables": [{"depth": NaN}]}', "tables[0].depth: NaN is not JSON"),
        ('{"tables": -Infinity}', "tables: -Infinity is not JSON"),
        ('{"tables": 1e999}', "tables: 1e999 is a number that no field can hold"),
        ('{"tables": 1' + "0" * 5000 + "}", "tables: a number of 5001 digits; no field accepts one so large"),
        (r'{"tables": "\ud83d"}', r'tables: "\ud83d" has half of a surrogate pair, which is no character'),
        (r'{"\udc00": 1}', r'"\udc00": the key has half of a surrogate pair, which is no character'),
        ('{"tables": [{"seed": 1, "seed": 2}]}', "tables[0].seed: the key occurs more than once"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), f"nested too deeply; at most {MAX_DEPTH} levels are read"),
        ("[" * 900 + "]" * 900, f"nested too deeply; at most {MAX_DEPTH} levels are read"),
        ('{"a":' * 100_000, f"nested too deeply; at most {MAX_DEPTH} levels are read"),
    ],
    ids=["nan", "infinity", "1e999", "digits", "surrogate", "key", "twice", "deep", "deeper", "deepest"],
)
def test_values_that_no_field_accepts_are_refused(text: str, line: str) -> None:
    assert problems(text) == [f"ft.json: {line}"]


def test_an_unprintable_key_is_shown_as_json_has_it() -> None:
    [line] = problems(json.dumps(sources.tables() | {"tables\x1b\n": 1}))

    assert line == r'ft.json: "tables\u001b\n": unknown key; did you mean "tables"?'


def test_first_problems_are_shown_and_others_counted() -> None:
    backends = [{"ip": f"10.0.{i >> 8}.{i & 255}", "state": "up", "helthy": True} for i in range(2000)]

    lines = problems(json.dumps(put(sources.tables(), "tables.0.backends", backends)))

    assert len(lines) == MAX_PROBLEMS + 1
    assert lines[-1] == f"and {4000 - MAX_PROBLEMS} further problems"


def address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def with_sources(count: int) -> None:
    parse_proxy(json.dumps({"sources": [address(i) for i in range(count)]}), "proxy.conf")


def with_many_keys(count: int) -> None:
    parse_director(json.dumps(sources.director() | {f"{i:09}": i for i in range(count)}), "director.conf")


def with_prefixes(count: int) -> None:
    peers = [{"address": address(i), "as": 65000} for i in range(count)]
    routing = {"speaker": "bird", "local_as": 65001, "peers": peers, "prefixes": [address(i) for i in range(count)]}
    parse_director(json.dumps(sources.director() | {"routing": routing}), "director.conf")


def with_backends(count: int) -> None:
    checks = {"vip_tcp": 80, "gue": 19523}
    backends = [{"ip": address(i), "state": "active", "healthchecks": checks} for i in range(count)]
    parse_tables(json.dumps(put(sources.tables(), "tables.0.backends", backends)), "ft.json")


def with_binds(count: int) -> None:
    """And as many backends, since each checks a VIP."""
    binds = [{"ip": address(i), "proto": "tcp", "port": 1 + i % 60000} for i in range(count)]
    backend = {"state": "active", "healthchecks": {"vip_tcp": count % 60000}}
    backends = [{"ip": address(i), **backend} for i in range(count)]
    source = put(put(sources.tables(), "tables.0.binds", binds), "tables.0.backends", backends)
    parse_tables(json.dumps(source), "ft.json")


def with_tables(count: int) -> None:
    table = sources.tables()["tables"][0]
    tables = [{**table, "name": f"{i}", "binds": [{**table["binds"][0], "ip": address(i)}]} for i in range(count)]
    parse_tables(json.dumps({"tables": tables}), "ft.json")


@pytest.mark.parametrize(
    "parse",
    [with_sources, with_many_keys, with_prefixes, with_backends, with_binds, with_tables],
    ids=lambda f: f.__name__,
)
def test_four_times_the_entries_take_about_four_times_the_steps(parse: Callable[[int], None]) -> None:
    parse(ENTRIES)  # what is done once only, such as the compilation of a regular expression

    assert steps(parse, GROWTH * ENTRIES) / steps(parse, ENTRIES) < GROWTH_BOUND


def steps(parse: Callable[[int], None], entries: int) -> int:
    """The bytecode instructions that Python runs for a parse: unlike the time, always the same."""
    counted = 0

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal counted
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        counted += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        parse(entries)
    finally:
        sys.settrace(before)
    return counted
