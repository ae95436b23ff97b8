"""The director's two files, read and judged together: nothing is applied unless both are good."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

from glb.config.load import GLBD_MAGIC, decode_text, parse_director, parse_tables, read_file
from glb.config.model import NO_TABLES, DirectorConfig, ForwardingTables, require_ipv4_backends
from glb.daemon.report import TableSummary
from glb.datapath.layout import Layout, plan
from glb.health.view import HealthView, with_health, with_known_health
from glb.table.build import BuiltTable, build_all, load_bytes, prepare
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
    given: ForwardingTables | None
    """The tables as the file has them, with the file's health; None if it is a binary."""

    def with_health(self, view: HealthView, builder: RowBuilder) -> "Loaded":
        """The same files, with other health. Raises TableError."""
        if self.given is None:
            return self
        tables = build_all(with_health(self.given, view), builder)
        return replace(self, tables=tables, layout=plan(tables, self.config))

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


Follow = Callable[[Sequence[ForwardingTables], IPv4Address], HealthView]
"""Checks the backends of tables from a director's address from now on, and tells their health. Of a backend that is in
several editions of a table, the first one counts."""


def read(sources: Sources, builder: RowBuilder | None = None, follow: Follow | None = None) -> Loaded:
    """Read both files; faster with a builder that has built tables like these.

    Backends are as healthy as `follow` says, or else as the file does. Raises ConfigError or TableError with every
    problem found.
    """
    config_data, table_data = read_file(sources.config), read_file(sources.table)
    config = parse_director(decode_text(config_data, str(sources.config)), str(sources.config))
    given = _given(table_data, str(sources.table))
    if given is not None and builder is not None:
        prepare(given, builder)  # before the checks begin: they and Python's lock would slow it down
    view = follow([given or NO_TABLES], config.outbound_src_ip) if follow is not None else None
    judged = with_health(given, view) if given is not None and view is not None else given
    tables = _built(judged, table_data, str(sources.table), builder)
    return Loaded(_digest(config_data, table_data), table_data, config, tables, plan(tables, config), given)


def check_tables(
    data: bytes, name: str, builder: RowBuilder | None = None, view: HealthView | None = None
) -> tuple[BuiltTable, ...]:
    """The tables of a file's content that a director can serve; `name` is the file's, for the messages.

    Backends that the view knows are as healthy as it says. Raises ConfigError or TableError.
    """
    given = _given(data, name)
    if given is not None and view is not None:
        given = with_known_health(given, view)
    return _built(given, data, name, builder)


def _given(data: bytes, name: str) -> ForwardingTables | None:
    """A source's tables; None for a binary, which says nothing of checks."""
    if data.startswith(GLBD_MAGIC):
        return None
    tables = parse_tables(decode_text(data, name), name)
    tables.require_ipv4_backends(name)
    return tables


def _built(
    tables: ForwardingTables | None, data: bytes, name: str, builder: RowBuilder | None
) -> tuple[BuiltTable, ...]:
    if tables is not None:
        return build_all(tables, builder)
    built = load_bytes(data, name, builder)
    require_ipv4_backends(built, name)
    return built


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
