# SPDX-License-Identifier: MIT
"""Files that glb-director reads are read, and mean the same; what has no effect, or two meanings, is a warning."""

import copy
import json
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from glb.config.bind_order import binds_in_force
from glb.config.field import line
from glb.config.judge_director import judge_director
from glb.config.model import HashFields, Proto
from glb.config.parse import parse_director, parse_tables
from glb.ctl.main import app
from glb.datapath.layout import plan
from glb.director.sources import judge_parsed, parse
from glb.errors import ConfigError
from glb.hashing.flow import Flow
from glb.routing.prefixes import prefixes_to_announce
from glb.table import glbd
from glb.table.build import build_all, load_bytes
from glb.table.lookup import lookup
from tests.unit import reference, sources
from tests.unit.github_files import FILES

ROWS = (0, 1, 2, 3, 4, 5, 6, 7, 255, 40_000, 65_535)
STATES = {"filling": 0, "active": 1, "draining": 2, "inactive": 2}
WARNINGS = {
    "health checks that are null": [],
    "empty names": [],
    "unknown keys": [
        "ft: version: unknown key, which has no effect",
        "ft: tables[0].owner: unknown key, which has no effect",
        "ft: tables[0].binds[0].note: unknown key, which has no effect",
    ],
    "host bits": [
        "ft: tables[0].binds[0].ip: 198.51.100.7/24 has host bits set: it is read as 198.51.100.0/24",
        "ft: tables[0].binds[1].ip: 2001:db8::7/64 has host bits set: it is read as 2001:db8::/64",
    ],
    "ports from 0": [],
    "port 0": [],
    "nulls": [],
    "a bind of two tables": [
        "ft: tables[0].binds[0]: 198.51.100.1:80/tcp has no effect: it is listed again as tables[1].binds[0], and the "
        "last one applies"
    ],
    "a bind twice in a table": [
        "ft: tables[0].binds[0]: 198.51.100.1:80/tcp has no effect: it is listed again as tables[0].binds[1], and the "
        "last one applies"
    ],
}


def warnings_about(data: bytes) -> list[str]:
    return [line("ft", (note.place, note.what)) for note in judge_parsed(parse(data, "ft"))]


def records(raw: dict[str, Any]) -> bytes:
    """The part of a table before its rows, by the rules of the format."""
    backends = b"".join(
        struct.pack("<I16sHH", 1, ip_address(one["ip"]).packed, STATES[one["state"]], one["healthy"])
        for one in raw["backends"]
    )
    binds = b"".join(_bind_record(bind) for bind in raw["binds"])
    counted = (struct.pack("<I", len(raw["backends"])) + backends).ljust(4 + 256 * 24, b"\0")
    counted += (struct.pack("<I", len(raw["binds"])) + binds).ljust(4 + 256 * 28, b"\0")
    return counted + bytes.fromhex(raw["hash_key"])


def _bind_record(bind: dict[str, Any]) -> bytes:
    """The address is written as it is in the source, with its host bits."""
    text, _, bits = bind["ip"].partition("/")
    address = ip_address(text)
    first, last = bind.get("port", bind.get("port_start")), bind.get("port", bind.get("port_end"))
    family = 1 if address.version == 4 else 2
    return struct.pack("<I16sHHHBB", family, address.packed, int(bits or address.max_prefixlen), first, last, 6, 0)


def pairs(raw: dict[str, Any]) -> Iterator[tuple[int, list[int]]]:
    entries = [(ip_address(one["ip"]), one["state"], one["healthy"]) for one in raw["backends"]]
    return ((row, reference.github_row(entries, bytes.fromhex(raw["seed"]), row)) for row in ROWS)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_glb_director_has_the_binary_of_its_rules(name: str) -> None:
    binary = glbd.encode(parse_tables(json.dumps(FILES[name]), "ft.json"))

    assert binary[:8] == b"GLBD\2\0\0\0"
    size = (len(binary) - 24) // len(FILES[name]["tables"])
    for number, raw in enumerate(FILES[name]["tables"]):
        table = binary[24 + number * size : 24 + (number + 1) * size]
        before_rows = records(raw)
        assert table[: len(before_rows)] == before_rows
        for row, pair in pairs(raw):
            assert list(struct.unpack_from("<2I", table, len(before_rows) + 8 * row)) == pair, row


@pytest.mark.parametrize("name", FILES)
def test_json_and_binary_have_the_same_warnings(name: str) -> None:
    source = json.dumps(FILES[name]).encode()
    binary = glbd.encode(parse_tables(source.decode(), "ft.json"))

    assert warnings_about(source) == WARNINGS[name]
    assert warnings_about(binary) == [text for text in WARNINGS[name] if "unknown key" not in text]


def test_tables_without_names_are_named_by_their_number() -> None:
    tables = parse_tables(json.dumps(FILES["empty names"]), "ft.json").tables

    assert [table.name for table in tables] == ["table0", "table1"]


@pytest.mark.parametrize("is_binary", [False, True])
def test_the_last_of_equal_binds_gets_the_packets(is_binary: bool) -> None:
    source = json.dumps(FILES["a bind of two tables"])
    tables = load_bytes(glbd.encode(parse_tables(source, "ft")) if is_binary else source.encode(), "ft")
    director = parse_director('{"outbound_src_ip": "10.0.0.100", "icmp_echo": "forward"}', "director.conf")
    flow = Flow(ip_address("192.0.2.1"), ip_address("198.51.100.1"), 1234, 80)

    layout = plan(tables, director)

    assert [bind.owner for bind in layout.exact if bind.protocol == 6 and not bind.fragment] == [0]
    assert {owner.table for owner in layout.owners} == {1}
    assert {owner.label for owner in layout.owners} >= {"198.51.100.1:80/tcp", "198.51.100.1 echo"}
    for proto in (Proto.TCP, "icmp"):
        found = lookup(tables, flow, proto, HashFields())
        assert found is not None
        assert found.table == tables[1].name


def test_an_echo_to_an_address_of_two_tables_is_a_warning() -> None:
    raw = copy.deepcopy(FILES["a bind of two tables"])
    raw["tables"][1]["binds"] = [{"ip": "198.51.100.1", "proto": "udp", "port": 53}]
    tables = parse_tables(json.dumps(raw), "ft")
    layouts = {}
    said = {}
    for choice in ("forward", "answer"):
        director = parse_director(json.dumps({"outbound_src_ip": "10.0.0.100", "icmp_echo": choice}), "director.conf")
        layouts[choice] = plan(build_all(tables), director)
        said[choice] = [note.what for note in judge_parsed(tables, director)]

    [echo] = [owner for owner in layouts["forward"].owners if owner.label.endswith(" echo")]
    assert echo.table == 1
    assert said == {
        "forward": [
            "198.51.100.1 is also in tables[1].binds[0]: ICMP echoes to it go to the proxies of the last table that "
            "lists it, tables[1]"
        ],
        "answer": [],
    }


@pytest.mark.parametrize("first", [3000, 3010])
def test_overlapping_ranges_of_equal_width_are_a_warning(first: int) -> None:
    raw = copy.deepcopy(FILES["a bind of two tables"])
    for table, start in zip(raw["tables"], (first, 3005), strict=True):
        table["binds"] = [{"ip": "198.51.100.1", "proto": "udp", "port_start": start, "port_end": start + 10}]

    assert warnings_about(json.dumps(raw).encode()) == [
        f"ft: tables[0].binds[0]: 198.51.100.1:{first}-{first + 10}/udp overlaps tables[1].binds[0], a range of equal "
        "width, which applies to the common ports"
    ]


def test_prefix_of_a_bind_that_has_no_effect_is_not_announced() -> None:
    raw = copy.deepcopy(FILES["a bind of two tables"])
    for backend in raw["tables"][1]["backends"]:
        backend["healthy"] = False
    routing = parse_director(
        json.dumps({"outbound_src_ip": "10.0.0.100", "routing": {"speaker": "bird", "control": "/run/bird.ctl"}}), "d"
    ).routing
    assert routing is not None

    assert prefixes_to_announce(routing, parse_tables(json.dumps(raw), "ft").tables) == ()


def test_of_three_equal_binds_only_the_last_is_in_force() -> None:
    raw = {"tables": [*FILES["a bind twice in a table"]["tables"], *FILES["a bind of two tables"]["tables"]]}
    tables = parse_tables(json.dumps(raw), "ft").tables

    [(bind, number)] = binds_in_force(tables)

    assert (str(bind), number) == ("198.51.100.1:80/tcp", 2)


def test_unknown_keys_of_one_kind_are_one_warning() -> None:
    raw = sources.tables()
    for backend in raw["tables"][0]["backends"]:
        backend["comment"] = ""
    raw["tables"][0]["backends"][0]["healthchecks"]["hold_share"] = 0.5

    assert warnings_about(json.dumps(raw).encode()) == [
        "ft: tables[0].backends[0].comment: unknown key, which has no effect (and at 2 further places)",
        "ft: tables[0].backends[0].healthchecks.hold_share: unknown key, which has no effect",
    ]


def test_unknown_keys_of_director_conf_are_warnings() -> None:
    raw = sources.director() | {"comment": "", "rx_drop_en": True, "statsd_port": 0, "hash_fields": None, "mtu": None}
    raw["alt_hash_fields"] = {"dst_addr": True, "src_addr": None, "vlan": True}

    config = parse_director(json.dumps(raw), "director.conf")

    assert (config.statsd_port, config.hash_fields, config.mtu) == (None, HashFields(), None)
    assert [line("director.conf", (note.place, note.what)) for note in judge_director(config)] == [
        "director.conf: comment: unknown key, which has no effect",
        "director.conf: alt_hash_fields.vlan: unknown key, which has no effect",
    ]


@pytest.mark.parametrize(("given", "port"), [(0, None), ("0", None), ("28125", 28125), (28125, 28125), (None, None)])
def test_statsd_port_may_be_a_text_as_for_the_dpdk_director(given: int | str | None, port: int | None) -> None:
    raw = sources.director() | {"statsd_port": given}

    assert parse_director(json.dumps(raw), "director.conf").statsd_port == port


@pytest.mark.parametrize("given", ["65536", "", "-1", "0x50", "8125 ", 65536, True])
def test_statsd_port_that_is_no_port_is_refused(given: int | str) -> None:
    with pytest.raises(ConfigError, match=r"director\.conf: statsd_port: .* is not a whole number from 0 to 65535"):
        parse_director(json.dumps(sources.director() | {"statsd_port": given}), "director.conf")


def test_check_lists_what_files_mean_differently_to_glb_director(tmp_path: Path) -> None:
    config, table = tmp_path / "director.conf", tmp_path / "ft.json"
    config.write_text(json.dumps({"outbound_src_ip": "192.0.2.1", "mtu": 1500}))
    raw = copy.deepcopy(FILES["host bits"])
    raw["tables"][0]["binds"] += [
        {"ip": "198.51.100.1", "proto": "tcp", "port": 80},
        {"ip": "198.51.100.1", "proto": "tcp", "port_start": 80, "port_end": 90},
        {"ip": "198.51.100.1", "proto": "tcp", "port": 90},
    ]
    first, second, _ = raw["tables"][0]["backends"]
    del first["healthy"]
    first |= {"weight": 2, "healthchecks": {"http": 80, "fou": 19523, "vip_tcp": 80, "interval_ms": None}}
    second["healthy"] = None
    table.write_text(json.dumps(raw))

    done = CliRunner().invoke(
        app, ["check", "--config", str(config), "--table", str(table), "--as", "glb-director", "-o", "json"]
    )

    director, tables = json.loads(done.stdout)
    fields = [[text.split(": ")[1] for text in file["differences"]] for file in (director, tables)]
    assert fields == [
        ["outbound_gateway_mac", "forward_icmp_ping_responses", "mtu"],
        [
            "tables[0].binds[0].ip",
            "tables[0].binds[2]",
            "tables[0].depth",
            "tables[0].backends[0].healthy",
            "tables[0].backends[0].weight",
            *(f"tables[0].backends[0].healthchecks.{check}" for check in ("http", "fou", "vip_tcp")),
        ],
    ]
    healthy = next(text for text in tables["differences"] if ".healthy: " in text)
    assert healthy.endswith("not given, so true; there false (and 1 further place)")


def test_files_of_the_same_meaning_have_no_differences(tmp_path: Path) -> None:
    config, table, binary = (tmp_path / name for name in ("director.conf", "ft.json", "ft.bin"))
    same = {"outbound_gateway_mac": "02:00:5e:10:00:01", "outbound_src_ip": "192.0.2.1"}
    config.write_text(json.dumps(same | {"forward_icmp_ping_responses": True}))
    raw = copy.deepcopy(FILES["health checks that are null"])
    raw["tables"][0]["depth"] = 2
    table.write_text(json.dumps(raw))
    binary.write_bytes(glbd.encode(parse_tables(table.read_text(), "ft")))

    for file in (table, binary):
        arguments = ["check", "--config", str(config), "--table", str(file), "--as", "glb-director"]
        done = CliRunner().invoke(app, arguments)
        assert "to glb-director" not in done.stdout
        assert done.stdout.count(": valid") == 2
