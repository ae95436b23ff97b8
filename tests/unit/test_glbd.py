# SPDX-License-Identifier: MIT
"""The binary: its bytes as the format has them, and what a damaged one is told."""

import json
import struct
from ipaddress import ip_address
from pathlib import Path

import pytest

from glb.config.model import Backend, Bind, ForwardingTables, State, Table
from glb.config.parse import parse_tables
from glb.errors import ConfigError, TableError
from glb.table import glbd
from glb.table.build import build_all
from glb.table.model import NO_HOP
from glb.table.table_files import load_built, write_glbd
from tests.unit import reference, sources

HEADER_BYTES = 24
BINDS_AT = HEADER_BYTES + 4 + 256 * 24
KEY_AT = BINDS_AT + 4 + 256 * 28
ROWS_AT = KEY_AT + 16
TABLE_BYTES = 4 + 256 * 24 + 4 + 256 * 28 + 16 + 65536 * 8


@pytest.fixture(scope="module")
def tables() -> ForwardingTables:
    source = sources.put(sources.tables(), "tables.0.backends.1.ip", "2001:db8::2")
    source = sources.put(source, "tables.0.backends.0.healthy", False)
    return parse_tables(json.dumps(source), "ft.json")


@pytest.fixture(scope="module")
def binary(tables: ForwardingTables) -> bytes:
    return glbd.encode(tables)


def test_the_header_is_as_the_format_says(binary: bytes) -> None:
    assert binary[:4] == b"GLBD"
    assert struct.unpack_from("<5I", binary, 4) == (2, 2, 65536, 256, 256)
    assert len(binary) == HEADER_BYTES + 2 * TABLE_BYTES


def test_backend_records_are_all_of_the_source_in_its_order(binary: bytes) -> None:
    assert struct.unpack_from("<I", binary, HEADER_BYTES) == (3,)
    records = [struct.unpack_from("<I16sHH", binary, HEADER_BYTES + 4 + 24 * i) for i in range(4)]
    assert records == [
        (1, bytes([10, 0, 0, 1]) + bytes(12), 1, 0),
        (2, bytes.fromhex("20010db8000000000000000000000002"), 1, 1),
        (1, bytes([10, 0, 0, 3]) + bytes(12), 2, 1),
        (0, bytes(16), 0, 0),
    ]


def test_filling_is_0_and_inactive_is_2(binary: bytes) -> None:
    start = HEADER_BYTES + TABLE_BYTES + 4
    records = [struct.unpack_from("<I16sHH", binary, start + 24 * i) for i in range(2)]
    assert [record[2:] for record in records] == [(0, 1), (2, 0)]


def test_bind_records_have_prefix_range_and_protocol(binary: bytes) -> None:
    assert struct.unpack_from("<I", binary, BINDS_AT) == (2,)
    records = [struct.unpack_from("<I16sHHHBB", binary, BINDS_AT + 4 + 28 * i) for i in range(3)]
    assert records == [
        (1, bytes([198, 51, 100, 1]) + bytes(12), 32, 80, 80, 6, 0),
        (2, bytes.fromhex("20010db8") + bytes(12), 64, 8000, 8080, 6, 0),
        (0, bytes(16), 0, 0, 0, 0, 0),
    ]


def test_rows_are_pairs_by_githubs_rule_whatever_the_depth(tables: ForwardingTables, binary: bytes) -> None:
    web = tables.tables[0]
    entries = [(backend.address, str(backend.state), backend.healthy) for backend in web.backends]

    assert web.depth == 3
    assert binary[KEY_AT : KEY_AT + 16] == web.hash_key
    for row in (0, 1, 255, 40_000, 65_535):
        pair = list(struct.unpack_from("<2I", binary, ROWS_AT + 8 * row))
        assert pair == reference.github_row(entries, web.seed, row)


def test_single_backend_is_written_twice_and_read_once(binary: bytes) -> None:
    second = HEADER_BYTES + TABLE_BYTES
    assert struct.unpack_from("<2I", binary, second + ROWS_AT - HEADER_BYTES) == (0, 0)

    _, dns = glbd.decode(binary, "ft.bin")

    assert (dns.rows[:, 0] == 0).all()
    assert (dns.rows[:, 1] == NO_HOP).all()
    assert dns.hops(0) == (ip_address("10.0.0.2"),)


def test_what_is_written_is_read_back(tables: ForwardingTables, tmp_path: Path) -> None:
    path = tmp_path / "ft.bin"
    pairs = ForwardingTables(
        tuple(Table(t.name, t.hash_key, t.seed, t.binds, t.backends, depth=2) for t in tables.tables)
    )

    write_glbd(path, tables)
    read = load_built(path)

    for index, (table, source, built) in enumerate(zip(read, tables.tables, build_all(pairs), strict=True)):
        assert (table.name, table.seed) == (f"table{index}", None)
        assert (table.hash_key, table.binds) == (source.hash_key, source.binds)
        assert (table.rows == built.rows).all()
        assert table.backends == tuple(
            Backend(b.address, State.DRAINING if b.state is State.INACTIVE else b.state, b.healthy)
            for b in source.backends
        )


def test_a_file_is_loaded_by_what_is_in_it(tables: ForwardingTables, binary: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ft"
    path.write_bytes(binary)
    assert [table.name for table in load_built(path)] == ["table0", "table1"]
    path.write_text(json.dumps(sources.tables()))
    assert [(table.name, table.rows.shape[1]) for table in load_built(path)] == [("web", 3), ("dns", 2)]
    path.unlink()
    with pytest.raises(ConfigError, match="No such file or directory"):
        load_built(path)


def test_a_built_tables_rows_cannot_be_written_to(binary: bytes) -> None:
    with pytest.raises(ValueError, match="read-only"):
        glbd.decode(binary, "ft.bin")[0].rows[0, 0] = 1


DAMAGES = [
    # what is damaged, where, struct format, value there, the line
    ("the magic", 0, "<I", 0, r"begins with b'\x00\x00\x00\x00', not with b'GLBD'"),
    ("the version", 4, "<I", 1, "version is 1, not 2"),
    ("no table", 8, "<I", 0, "num_tables is 0; without a table there is nothing to forward"),
    ("a table too many", 8, "<I", 3,
     f"truncated: 3 tables: {24 + 3 * TABLE_BYTES} bytes, the file has {24 + 2 * TABLE_BYTES}"),
    ("a table too few", 8, "<I", 1,
     f"bytes are left over: 1 table: {24 + TABLE_BYTES} bytes, the file has {24 + 2 * TABLE_BYTES}"),
    ("other rows", 12, "<I", 65537, "table_entries is 65537, not 65536"),
    ("other records", 16, "<I", 512, "max_num_backends is 512, not 256"),
    ("other binds", 20, "<I", 512, "max_num_binds is 512, not 256"),
    ("no backends", 24, "<I", 0, "table 0: backend count is 0, not 1 to 256"),
    ("backends beyond", 24, "<I", 257, "table 0: backend count is 257, not 1 to 256"),
    ("a record unused", 24, "<I", 2, "table 0: backend records behind the first 2 are not zero"),
    ("a record unwritten", 24, "<I", 4, "table 0: backend record 3: family 0 is not 1 (IPv4) or 2 (IPv6)"),
    ("a family", 28, "<I", 7, "table 0: backend record 0: family 7 is not 1 (IPv4) or 2 (IPv6)"),
    ("address padding", 40, "<I", 1,
     "table 0: backend record 0: the 12 bytes behind the IPv4 address are not zero"),
    ("a state", 48, "<H", 3,
     "table 0: backend record 0: state 3 is not 0 (filling), 1 (active) or 2 (draining)"),
    ("a health", 50, "<H", 2, "table 0: backend record 0: healthy 2 is not 0 (down) or 1 (up)"),
    ("no binds", BINDS_AT, "<I", 0, "table 0: bind count is 0, not 1 to 256"),
    ("a bind's family", BINDS_AT + 4, "<I", 3,
     "table 0: bind record 0: family 3 is not 1 (IPv4) or 2 (IPv6)"),
    ("a long prefix", BINDS_AT + 24, "<H", 33, "table 0: bind record 0: prefix bits 33 are more than 32"),
    ("a range", BINDS_AT + 26, "<H", 81, "table 0: bind record 0: port_start 81 is above port_end 80"),
    ("a protocol", BINDS_AT + 30, "<B", 1, "table 0: bind record 0: protocol 1 is not 6 (TCP) or 17 (UDP)"),
    ("the reserved byte", BINDS_AT + 31, "<B", 9, "table 0: bind record 0: the last byte is 9, not 0"),
    ("an index", ROWS_AT + 8 * 77 + 4, "<I", 3,
     "table 0: row 77 names backend 3, but there are only 3 records"),
    ("a huge index", ROWS_AT + 8 * 77, "<I", 65536,
     "table 0: row 77 names backend 65536, but there are only 3 records"),
    ("the second table", 24 + TABLE_BYTES, "<I", 0, "table 1: backend count is 0, not 1 to 256"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("offset", "layout", "value", "line"),
    [case[1:] for case in DAMAGES],
    ids=[case[0].replace(" ", "-") for case in DAMAGES],
)
def test_damaged_binary_is_refused_with_the_position(
    binary: bytes, offset: int, layout: str, value: int, line: str
) -> None:
    damaged = bytearray(binary)
    struct.pack_into(layout, damaged, offset, value)

    with pytest.raises(TableError) as caught:
        glbd.decode(bytes(damaged), "ft.bin")

    assert str(caught.value) == f"ft.bin: {line}"


REFUSED_IN_JSON_TOO = [
    # what is wrong, the bytes and their offset, the lines
    ("a backend twice", [(HEADER_BYTES + 4 + 2 * 24 + 4, bytes([10, 0, 0, 1]))],
     ["tables[0].backends[2].ip: 10.0.0.1 is already tables[0].backends[0]"]),
    ("a multicast backend", [(HEADER_BYTES + 8, bytes([224, 0, 0, 1]))],
     ['tables[0].backends[0].ip: "224.0.0.1" is not the address of one host']),
    ("two errors", [(HEADER_BYTES + 8, bytes([224, 0, 0, 1])), (HEADER_BYTES + 4 + 2 * 24 + 4, bytes([224, 0, 0, 1]))],
     ['tables[0].backends[0].ip: "224.0.0.1" is not the address of one host',
      'tables[0].backends[2].ip: "224.0.0.1" is not the address of one host',
      "tables[0].backends[2].ip: 224.0.0.1 is already tables[0].backends[0]"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "lines"),
    [case[1:] for case in REFUSED_IN_JSON_TOO],
    ids=[case[0].replace(" ", "-") for case in REFUSED_IN_JSON_TOO],
)
def test_binary_has_the_errors_of_a_json_source(
    binary: bytes, changes: list[tuple[int, bytes]], lines: list[str]
) -> None:
    damaged = bytearray(binary)
    for offset, data in changes:
        damaged[offset : offset + len(data)] = data

    with pytest.raises(TableError) as caught:
        glbd.decode(bytes(damaged), "ft.bin")

    assert str(caught.value).splitlines() == [f"ft.bin: {line}" for line in lines]


@pytest.mark.parametrize("length", [4, 23, 24, 1000])
def test_a_truncated_binary_is_refused(binary: bytes, length: int) -> None:
    with pytest.raises(TableError, match="truncated"):
        glbd.decode(binary[:length], "ft.bin")


@pytest.mark.parametrize("kind", ["backends", "binds"])
def test_more_records_than_the_format_holds_are_refused(tables: ForwardingTables, kind: str) -> None:
    web = tables.tables[0]
    backends = tuple(Backend(ip_address(0x0A000000 + i)) for i in range(1, 258))
    binds = tuple(Bind(web.binds[0].network, web.binds[0].proto, i, i) for i in range(1, 258))
    table = (
        Table("big", web.hash_key, web.seed, web.binds, backends)
        if kind == "backends"
        else Table("big", web.hash_key, web.seed, binds, web.backends)
    )

    with pytest.raises(TableError, match=f'table "big": 257 {kind}; the binary format holds at most 256'):
        glbd.encode(ForwardingTables((table,)))


def test_a_place_that_cannot_be_written_is_named(tables: ForwardingTables, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "ft.bin"

    with pytest.raises(TableError, match=f"{path}: cannot be written: No such file or directory"):
        write_glbd(path, tables)
