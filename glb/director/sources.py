# SPDX-License-Identifier: MIT
"""The director's two files, read and judged together: nothing is applied unless both are good."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeAlias

from glb.config.judge_tables import Tables, judge_tables
from glb.config.model import NO_TABLES, DirectorConfig, ForwardingTables, require_ipv4_backends
from glb.config.note import warnings_of
from glb.config.parse import GLBD_MAGIC, decode_text, parse_director, parse_tables
from glb.daemon.report import TableSummary
from glb.datapath.layout import Layout, plan, plan_again
from glb.director.judge_files import judge, this_host
from glb.errors import TableError
from glb.files import read_regular
from glb.health.view import HealthView, with_health, with_known_health
from glb.memory import give_back, shortage
from glb.table.build import build_all, load_bytes, new_bytes, prepare
from glb.table.builder import RowBuilder
from glb.table.digest import digest_of_binary, digest_of_source
from glb.table.model import BuiltTable

# What reading takes, in times of the file's size: for JSON its values and the model, for a binary two forms of rows.
_TEXT_TIMES, _BINARY_TIMES = 20, 2
_TICK_SECONDS = 0.1  # of a file's times: a jiffy on local file systems


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the configuration and the forwarding tables come from."""

    config: Path
    table: Path
    interfaces: tuple[str, ...] = ()
    """Those that the director takes packets from; with none, the files are not judged against this host."""

    def contents(self) -> "Contents":
        """Both files as they are now. Raises ConfigError if one cannot be read."""
        return Contents(read_regular(self.config), read_regular(self.table))

    def stamp(self) -> "Stamp":
        """What both files look like from outside, without reading them."""
        return Stamp(_stamp(self.config), _stamp(self.table), time.time())


@dataclass(frozen=True, slots=True)
class Stamp:
    """Two files from outside: device, inode, size, and times of change in nanoseconds; or why that is not to be had.

    seen: when, in seconds since 1970.
    """

    config: tuple[int, ...] | str
    table: tuple[int, ...] | str
    seen: float

    def may_differ(self, earlier: "Stamp | None") -> bool:
        """Whether the files may have another content than at an earlier look.

        A file that changed just before that look may have changed once more within the same tick of its clock.
        """
        if earlier is None or (self.config, self.table) != (earlier.config, earlier.table):
            return True
        return any(_changed_at(stamp) > earlier.seen - _TICK_SECONDS for stamp in (self.config, self.table))


@dataclass(frozen=True, slots=True)
class Contents:
    """The bytes of both files. digest: SHA-256 over both."""

    config: bytes
    table: bytes
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        digests = (hashlib.sha256(data).digest() for data in (self.config, self.table))
        object.__setattr__(self, "digest", hashlib.sha256(b"".join(digests)).hexdigest())


@dataclass(frozen=True, slots=True)
class Loaded:
    """Good files, worked out as far as they can be without the kernel."""

    contents: Contents
    config: DirectorConfig
    tables: tuple[BuiltTable, ...]
    layout: Layout
    given: ForwardingTables | None
    """The tables as the file has them, with the file's health; None if it is a binary."""
    view: HealthView | None
    """The health that `tables` have; None for the file's."""
    tables_digest: str
    """The digest of the tables, which directors with the same tables share."""
    warnings: tuple[str, ...] = ()
    """What the files say that a director cannot do as it seems to be meant; a line each."""

    def with_health(self, view: HealthView, builder: RowBuilder) -> "Loaded":
        """The same files, with other health. Raises TableError."""
        if self.given is None or self.view is view:
            return self
        tables = build_all(with_health(self.given, view), builder)
        return replace(self, tables=tables, layout=plan_again(self.layout, tables), view=view)

    @property
    def digest(self) -> str:
        """SHA-256 over both files."""
        return self.contents.digest

    @property
    def source(self) -> bytes:
        """The table file's content."""
        return self.contents.table

    def summary(self) -> tuple[TableSummary, ...]:
        return tuple(_summary(table) for table in self.tables)

    def describe(self) -> str:
        """Such as "1 table (web: 4 binds, 3 backends)"."""
        tables = "; ".join(
            f"{table.name}: {len(table.binds)} binds, {len(table.backends)} backends" for table in self.tables
        )
        count = len(self.tables)
        return f"{count} table{'s' if count != 1 else ''} ({tables})"


Follow = Callable[[Sequence[ForwardingTables], IPv4Address, int | None], HealthView]
"""Checks the backends of tables from a director's address from now on, and returns their health. The number is the
director's `mtu`, which no check's packet exceeds. Of a backend that is in several editions of a table, the first one
counts."""


def read(sources: Sources, builder: RowBuilder | None = None, follow: Follow | None = None) -> Loaded:
    """Read both files; faster with a builder that has built tables like these.

    Backends are as healthy as `follow` says, or else as the file does. Raises ConfigError or TableError with every
    problem found.
    """
    contents = sources.contents()
    config = parse_director(decode_text(contents.config, str(sources.config)), str(sources.config))
    parsed = parse(contents.table, str(sources.table), builder)
    host = this_host(sources.interfaces) if sources.interfaces else None
    warnings = judge(config, sources.config, tables_in(parsed), sources.table, host)
    given = parsed if isinstance(parsed, ForwardingTables) else None
    if given is not None and builder is not None:
        _require_memory_for_rows(given, str(sources.table), builder)
        prepare(given, builder)  # before the checks begin: they and Python's lock would slow it down
    view = follow([given or NO_TABLES], config.outbound_src_ip, config.mtu) if follow is not None else None
    if isinstance(parsed, ForwardingTables):
        tables = build_all(parsed if view is None else with_health(parsed, view), builder)
    else:
        tables = parsed
    give_back()
    digest = digest_of_source(given) if given is not None else digest_of_binary(tables)
    return Loaded(contents, config, tables, plan(tables, config), given, view, digest, warnings)


def _require_memory_for_rows(given: ForwardingTables, name: str, builder: RowBuilder) -> None:
    _require_memory(new_bytes(given, builder), f"the rows of {len(given.tables):,} tables", name)


def _require_memory(needed: int, what: str, name: str) -> None:
    """Refuse before anything is taken: without memory, a library written in Rust ends the process."""
    lack = shortage(needed, what)
    if lack is not None:
        raise TableError(f"{name}: {lack}")


def check_tables(
    data: bytes, name: str, builder: RowBuilder | None = None, view: HealthView | None = None
) -> tuple[BuiltTable, ...]:
    """The tables of a file's content that a director can serve; `name` is the file's, for the messages.

    Backends that the view knows are as healthy as it says. Raises ConfigError or TableError.
    """
    parsed = parse(data, name, builder)
    warnings_of((name, judge_tables(tables_in(parsed))))
    if not isinstance(parsed, ForwardingTables):
        return parsed
    if builder is not None:
        _require_memory_for_rows(parsed, name, builder)
    return build_all(parsed if view is None else with_known_health(parsed, view), builder)


Parsed: TypeAlias = ForwardingTables | tuple[BuiltTable, ...]
"""A JSON source, or the tables of a binary, which says nothing of checks."""


def parse(data: bytes, name: str, builder: RowBuilder | None = None) -> Parsed:
    """A table file's content; `name` is the file's, for the messages. Raises ConfigError or TableError."""
    is_binary = data.startswith(GLBD_MAGIC)
    times = _BINARY_TIMES if is_binary else _TEXT_TIMES
    _require_memory(times * len(data), f"tables in a file of {len(data):,} bytes", name)
    if is_binary:
        built = load_bytes(data, name, builder)
        require_ipv4_backends(built, name)
        return built
    tables = parse_tables(decode_text(data, name), name)
    tables.require_ipv4_backends(name)
    return tables


def tables_in(parsed: Parsed) -> Tables:
    return parsed.tables if isinstance(parsed, ForwardingTables) else parsed


def _stamp(path: Path) -> tuple[int, ...] | str:
    try:
        found = os.stat(path)  # noqa: PTH116 - Path.stat() raises RuntimeError for a loop of links
    except OSError as error:
        return str(error.strerror)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _changed_at(stamp: tuple[int, ...] | str) -> float:
    return 0.0 if isinstance(stamp, str) else stamp[-1] / 1e9


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
