"""The director's two files, read and judged together: nothing is applied unless both are good."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from glb.config.load import decode_text, parse_director, read_file
from glb.config.model import DirectorConfig, require_ipv4_backends
from glb.daemon.report import TableSummary
from glb.datapath.layout import Layout, plan
from glb.table.build import BuiltTable, load_bytes
from glb.table.builder import RowBuilder


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the configuration and the forwarding tables come from."""

    config: Path
    table: Path

    def digest(self) -> str:
        """SHA-256 over both files as they are now. Raises ConfigError if one cannot be read."""
        return _digest(read_file(self.config), read_file(self.table))

    def folders(self) -> set[Path]:
        """Where a change of either file shows: beside it, and beside what it links to."""
        return {path.parent for path in self._paths()}

    def concerns(self, path: str) -> bool:
        """Whether a path is that of one of the files, or of what it links to."""
        return Path(path) in self._paths()

    def _paths(self) -> set[Path]:
        return {path for name in (self.config, self.table) for path in (name.absolute(), name.resolve())}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Good files, worked out as far as they can be without the kernel. source: the table file's content."""

    digest: str
    source: bytes
    config: DirectorConfig
    tables: tuple[BuiltTable, ...]
    layout: Layout

    @property
    def tables_digest(self) -> str:
        """SHA-256 of the table file alone: the configuration has each director's own address."""
        return hashlib.sha256(self.source).hexdigest()

    def summary(self) -> tuple[TableSummary, ...]:
        return tuple(_summary(table) for table in self.tables)

    def describe(self) -> str:
        """Such as "1 table (web: 4 binds, 3 backends)"."""
        tables = "; ".join(
            f"{table.name}: {len(table.binds)} binds, {len(table.backends)} backends" for table in self.tables
        )
        count = len(self.tables)
        return f"{count} table{'s' if count != 1 else ''} ({tables})"


def read(sources: Sources, builder: RowBuilder | None = None) -> Loaded:
    """Read both files; faster with a builder that has built tables like these.

    Raises ConfigError or TableError with every problem found.
    """
    config_data, table_data = read_file(sources.config), read_file(sources.table)
    config = parse_director(decode_text(config_data, str(sources.config)), str(sources.config))
    tables = check_tables(table_data, str(sources.table), builder)
    return Loaded(_digest(config_data, table_data), table_data, config, tables, plan(tables, config))


def check_tables(data: bytes, name: str, builder: RowBuilder | None = None) -> tuple[BuiltTable, ...]:
    """The tables of a file's content that a director can serve; `name` is the file's, for the messages.

    Raises ConfigError or TableError.
    """
    tables = load_bytes(data, name, builder)
    require_ipv4_backends(tables, name)
    return tables


def _digest(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for data in contents:
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def _summary(table: BuiltTable) -> TableSummary:
    return TableSummary(
        name=table.name,
        binds=tuple(str(bind) for bind in table.binds),
        backends={
            str(backend.address): backend.state.value + ("" if backend.healthy else ", unhealthy")
            for backend in table.backends
        },
        depth=table.rows.shape[1],
    )
