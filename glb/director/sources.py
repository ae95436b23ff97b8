"""The director's two files, read and judged together: nothing is applied unless both are good."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from glb.config.load import ConfigError, load_director
from glb.config.model import DirectorConfig, require_ipv4_backends
from glb.daemon.report import TableSummary
from glb.datapath.layout import Layout, plan
from glb.table.build import BuiltTable, load
from glb.table.builder import RowBuilder


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the configuration and the forwarding tables come from."""

    config: Path
    table: Path

    def digest(self) -> str:
        """SHA-256 over both files as they are now. Raises ConfigError if one cannot be read."""
        digest = hashlib.sha256()
        for path in (self.config, self.table):
            try:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise ConfigError(f"{path}: {error.strerror}") from error
        return digest.hexdigest()

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
    """Good files, worked out as far as they can be without the kernel."""

    digest: str
    config: DirectorConfig
    tables: tuple[BuiltTable, ...]
    layout: Layout

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
    digest = sources.digest()
    config = load_director(sources.config)
    tables = check_tables(sources.table, builder)
    return Loaded(digest, config, tables, plan(tables, config))


def check_tables(path: Path, builder: RowBuilder | None = None) -> tuple[BuiltTable, ...]:
    """The tables of a file that a director can serve. Raises ConfigError or TableError."""
    tables = load(path, builder)
    require_ipv4_backends(tables, str(path))
    return tables


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
