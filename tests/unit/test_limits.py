# SPDX-License-Identifier: MIT
"""How large tables may be, and what becomes of those that are larger."""

import json
import re
import subprocess
import sys
import textwrap
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from glb.config import check, limits
from glb.config.parse import parse_tables
from glb.errors import ConfigError
from glb.memory import in_words


def source(tables: int, backends: int, binds: int = 1) -> str:
    def table(number: int) -> dict[str, Any]:
        ports = range(1 + number * binds, 1 + (number + 1) * binds)
        return {
            "name": f"t{number}",
            "hash_key": "0" * 32,
            "seed": "1" * 32,
            "binds": [{"ip": "203.0.113.1", "proto": "tcp", "port": port} for port in ports],
            "backends": [
                {"ip": str(IPv4Address("10.0.0.1") + i), "state": "active", "healthy": True} for i in range(backends)
            ],
        }

    return json.dumps({"tables": [table(number) for number in range(tables)]})


@pytest.mark.parametrize(
    ("limit", "text", "refusal"),
    [
        ("MAX_TABLES", source(4, 1), r"tables: 4 tables; at most 3 are supported"),
        ("MAX_BACKENDS_PER_TABLE", source(1, 4), r"tables\[0\]\.backends: 4 backends; at most 3 in one table"),
        ("MAX_BACKENDS", source(2, 2), r"tables: 4 backends in all tables; at most 3 are"),
        ("MAX_BINDS", source(2, 1, 2), r"tables: 4 binds in all tables; at most 3 are"),
    ],
)
def test_what_is_too_large_is_refused_with_the_numbers(
    limit: str, text: str, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse_tables(text, "ft.json")
    monkeypatch.setattr(check, limit, 3)

    with pytest.raises(ConfigError, match=refusal):
        parse_tables(text, "ft.json")


def test_the_largest_table_that_is_supported_is_read() -> None:
    assert len(parse_tables(source(1, limits.MAX_BACKENDS_PER_TABLE), "ft.json").tables[0].backends) == 10_000


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (4 << 30, "4.0 GiB"), (9 << 50, "9216.0 TiB")],
)
def test_sizes_are_printed_with_units(count: int, words: str) -> None:
    assert in_words(count) == words


def in_little_memory(more: int, script: str) -> str:
    """What a script prints that may take so many MiB more than it has at its line `limit()`."""
    begin = f"""
        import resource
        from pathlib import Path
        from ipaddress import IPv4Address

        def limit():
            lines = Path("/proc/self/status").read_text().splitlines()
            used = next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmSize:"))
            resource.setrlimit(resource.RLIMIT_AS, (used + ({more} << 20), resource.RLIM_INFINITY))
    """
    argv = [sys.executable, "-c", textwrap.dedent(begin) + textwrap.dedent(script)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tables_without_memory_are_refused() -> None:
    said = in_little_memory(
        4,
        """
        from glb.config.model import Backend, Table
        from glb.errors import TableError
        from glb.table.build import build
        from glb.table.builder import RowBuilder

        def table(depth):
            backends = tuple(Backend(IPv4Address("10.0.0.1") + i) for i in range(3))
            return Table("web", bytes(16), bytes(16), (), backends, depth)

        builder = RowBuilder()
        kept = build(table(2), builder)
        limit()
        try:
            build(table(8), builder)
        except TableError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print((build(table(2), builder).rows == kept.rows).all(), build(table(8), builder).rows.shape)
        """,
    )

    assert said.splitlines() == [
        'table "web": not enough memory for the rows of 3 backends, of which 1,024 KiB stay in use',
        "True (65536, 8)",
    ]


def test_available_memory_respects_the_process_limit() -> None:
    said = in_little_memory(
        100,
        """
        from glb.memory import available_bytes, shortage

        limit()
        print(90 << 20 < available_bytes() <= 100 << 20)
        print(shortage(10 << 20, "few tables"))
        print(shortage(1 << 40, "the rows of 9 tables"))
        """,
    )

    first, second, third = said.splitlines()
    assert (first, second) == ("True", "None")
    assert third.startswith("the rows of 9 tables need 1.0 TiB of memory, and ")
    assert third.endswith(" MiB are available")


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        (1, r"/ft\.json: tables in a file of [\d,]+ bytes need \d\.\d MiB of memory, and "),
        (40, r"/ft\.json: the rows of 100 tables need 50\.0 MiB of memory, and "),
    ],
)
def test_director_refuses_before_it_allocates(more: int, refusal: str, tmp_path: Path) -> None:
    tables = json.loads(source(100, 8))
    for number, table in enumerate(tables["tables"]):
        table |= {"depth": 8, "seed": f"{number:032x}"}
    (tmp_path / "ft.json").write_text(json.dumps(tables))
    (tmp_path / "director.conf").write_text('{"outbound_src_ip": "10.255.0.1"}')

    said = in_little_memory(
        more,
        f"""
        from glb.director.sources import Sources, read
        from glb.errors import TableError
        from glb.table.builder import RowBuilder

        sources = Sources(Path("{tmp_path}/director.conf"), Path("{tmp_path}/ft.json"))
        limit()
        try:
            read(sources, RowBuilder())
        except TableError as error:
            print(error)
        """,
    )

    assert re.search(refusal, said)
