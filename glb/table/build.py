# SPDX-License-Identifier: MIT
"""Building the tables of a source, or of a GLBD binary, for the datapath."""

from collections.abc import Iterator

from glb.config.model import ForwardingTables, Table
from glb.config.parse import GLBD_MAGIC, decode_text, parse_tables
from glb.errors import TableError
from glb.printable import plural
from glb.table import glbd
from glb.table.builder import RowBuilder, Shape
from glb.table.model import BuiltTable, rows_bytes
from glb.table.rows import build_rows


def build(table: Table, builder: RowBuilder | None = None) -> BuiltTable:
    """Build one table. A builder makes it faster if it has built a similar table before.

    Raises TableError.
    """
    make = builder.rows if builder is not None else build_rows
    try:
        rows = make(table.backends, table.seed, table.depth)
    except TableError as error:
        raise TableError(f'table "{table.name}": {error}') from error
    except MemoryError as error:
        raise TableError(
            f'table "{table.name}": not enough memory for the rows of {plural(len(table.backends), "backend")}, '
            f"of which {rows_bytes(len(table.backends), table.depth) >> 10:,} KiB stay in use"
        ) from error
    return BuiltTable(table.name, table.hash_key, table.seed, table.binds, table.backends, rows)


def build_all(tables: ForwardingTables, builder: RowBuilder | None = None) -> tuple[BuiltTable, ...]:
    """Build all tables of a source, in its order. Raises TableError."""
    return tuple(build(table, builder) for table in tables.tables)


def prepare(tables: ForwardingTables, builder: RowBuilder) -> None:
    """Let a builder do the expensive part, which does not depend on health, on all CPUs."""
    builder.prepare(_shapes(tables))


def new_bytes(tables: ForwardingTables, builder: RowBuilder) -> int:
    """The bytes that the rows of these tables need in addition to the rows in use."""
    return builder.new_bytes(_shapes(tables))


def _shapes(tables: ForwardingTables) -> Iterator[Shape]:
    return ((table.backends, table.seed, table.depth) for table in tables.tables)


def load_bytes(data: bytes, name: str, builder: RowBuilder | None = None) -> tuple[BuiltTable, ...]:
    """The tables in a file's content, JSON source or GLBD binary, which begins with "GLBD".

    name: the file's, for messages. Raises ConfigError for a bad source, TableError for a bad binary.
    """
    if data.startswith(GLBD_MAGIC):
        return glbd.decode(data, name)
    return build_all(parse_tables(decode_text(data, name), name), builder)
