# SPDX-License-Identifier: MIT
"""Forwarding tables on disk: read from a JSON source or a GLBD binary, and written as a binary."""

from pathlib import Path

from glb.config.model import ForwardingTables
from glb.errors import TableError
from glb.files import read_file, replace_file
from glb.table import glbd
from glb.table.build import load_bytes
from glb.table.builder import RowBuilder
from glb.table.model import BuiltTable
from glb.table.row_builder import row_builder


def load_built(path: Path, builder: RowBuilder | None = None) -> tuple[BuiltTable, ...]:
    """Read and build the tables of a JSON source, or read those of a GLBD binary.

    Raises ConfigError for a file that cannot be read or a bad source, TableError for a bad binary.
    """
    return load_bytes(read_file(path), str(path), builder or row_builder())


def write_glbd(path: Path, tables: ForwardingTables) -> None:
    """Write tables as a GLBD binary, atomically. Raises TableError if that fails, or the format cannot hold them."""
    data = glbd.encode(tables)
    try:
        replace_file(path, data)
    except OSError as error:
        raise TableError(f"{path}: cannot be written: {error.strerror}") from error
