# SPDX-License-Identifier: MIT
"""Reads the director's two files and checks them together: both are loaded, or none."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeAlias

from glb.config.host import Host, HostLink
from glb.config.judge_director import judge_director
from glb.config.judge_tables import Tables, judge_tables
from glb.config.model import NO_TABLES, DirectorConfig, ForwardingTables, require_ipv4_backends
from glb.config.note import Note, warnings_of
from glb.config.parse import GLBD_MAGIC, decode_text, parse_director, parse_tables
from glb.daemon.report import TableSummary
from glb.datapath.layout import Layout, plan, plan_again
from glb.errors import NetworkError, TableError
from glb.files import read_regular
from glb.health.view import HealthView, with_health, with_known_health
from glb.memory import give_back, shortage
from glb.network.interface import find_interface
from glb.network.local import host_addresses
from glb.printable import plural
from glb.table.build import build_all, load_bytes, new_bytes, prepare
from glb.table.builder import RowBuilder
from glb.table.digest import digest_of_binary, digest_of_source
from glb.table.model import BuiltTable

# Memory for reading, in multiples of the file's size: for JSON its values and the model, for a binary the rows twice.
_TEXT_TIMES, _BINARY_TIMES = 20, 2
_TICK_SECONDS = 0.1  # resolution of file times: a jiffy on local file systems


@dataclass(frozen=True, slots=True)
class Sources:
    """The paths of the configuration and the forwarding tables."""

    config: Path
    table: Path
    interfaces: tuple[str, ...] = ()
    """The director's interfaces. If empty, the files are not checked against this host."""

    def contents(self) -> "Contents":
        """The present content of both files. Raises ConfigError if one cannot be read."""
        return Contents(read_regular(self.config), read_regular(self.table))

    def stamp(self) -> "Stamp":
        """The identity and times of both files, without reading them."""
        return Stamp(_stamp(self.config), _stamp(self.table), time.time())


@dataclass(frozen=True, slots=True)
class Stamp:
    """Device, inode, size and times of change (ns) of two files; or an error message instead.

    seen: when they were read, in seconds since 1970.
    """

    config: tuple[int, ...] | str
    table: tuple[int, ...] | str
    seen: float

    def may_differ(self, earlier: "Stamp | None") -> bool:
        """Whether the files may have changed since an earlier stamp.

        A file that changed just before the earlier stamp may have changed again within the same clock tick.
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
    """Valid files, processed as far as possible without the kernel."""

    contents: Contents
    config: DirectorConfig
    tables: tuple[BuiltTable, ...]
    layout: Layout
    given: ForwardingTables | None
    """The tables of the file, with the file's health; None for a GLBD binary."""
    view: HealthView | None
    """The health in `tables`; None: the file's."""
    tables_digest: str
    """The digest of the tables: directors with equal tables have equal digests."""
    warnings: tuple[str, ...] = ()
    """Warnings about values that do not have the effect that they suggest; a line each."""

    def with_health(self, view: HealthView, builder: RowBuilder) -> "Loaded":
        """The same files with other health. Raises TableError."""
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
            f"{table.name}: {plural(len(table.binds), 'bind')}, {plural(len(table.backends), 'backend')}"
            for table in self.tables
        )
        return f"{plural(len(self.tables), 'table')} ({tables})"


Follow = Callable[[Sequence[ForwardingTables], IPv4Address, int | None], HealthView]
"""Starts the checks of the backends in these tables from a director's address, and returns their health. The number is
the director's `mtu`, the maximum size of a check's packet. If several editions of a table list a backend, the first
edition applies."""


def read(sources: Sources, builder: RowBuilder | None = None, follow: Follow | None = None) -> Loaded:
    """Read both files. A builder that has built similar tables makes it faster.

    The backends' health comes from `follow`, or without it from the file. Raises ConfigError or TableError, which lists
    all problems.
    """
    contents = sources.contents()
    config = parse_director(decode_text(contents.config, str(sources.config)), str(sources.config))
    parsed = parse(contents.table, str(sources.table), builder)
    host = this_host(sources.interfaces) if sources.interfaces else None
    warnings = _judge(config, sources.config, parsed, sources.table, host)
    given = parsed if isinstance(parsed, ForwardingTables) else None
    if given is not None and builder is not None:
        _require_memory_for_rows(given, str(sources.table), builder)
        prepare(given, builder)  # before the checks begin, which compete for Python's lock
    view = follow([given or NO_TABLES], config.outbound_src_ip, config.mtu) if follow is not None else None
    if isinstance(parsed, ForwardingTables):
        tables = build_all(parsed if view is None else with_health(parsed, view), builder)
    else:
        tables = parsed
    give_back()
    digest = digest_of_source(given) if given is not None else digest_of_binary(tables)
    return Loaded(contents, config, tables, plan(tables, config), given, view, digest, warnings)


def this_host(interfaces: Sequence[str]) -> Host:
    """The addresses and links of this host. interfaces: the director's; a missing interface is left out.

    Raises NetworkError.
    """
    found = host_addresses()
    links: dict[str, HostLink] = {}
    for name in interfaces:
        with suppress(NetworkError):
            interface = find_interface(name)
            links[name] = HostLink(interface.mac, interface.mtu)
    return Host(
        addresses={address.ip: address.name for address in found.all},
        own={address.ip: address.name for address in found.own},
        broadcasts={address.broadcast: address.name for address in found.all if address.broadcast is not None},
        links=links,
    )


def _judge(
    config: DirectorConfig, config_file: Path, parsed: "Parsed", table_file: Path, host: Host | None
) -> tuple[str, ...]:
    """The warnings about both files. Raises ConfigError with all errors.

    host: the host that the director runs on; None if unknown.
    """
    about_config, about_tables = judge_director(config, tables_in(parsed), host), judge_parsed(parsed, config, host)
    return warnings_of((str(config_file), about_config), (str(table_file), about_tables))


def _require_memory_for_rows(given: ForwardingTables, name: str, builder: RowBuilder) -> None:
    _require_memory(new_bytes(given, builder), f"the rows of {len(given.tables):,} tables", name)


def _require_memory(needed: int, what: str, name: str) -> None:
    """Refuse before memory is allocated: a library written in Rust aborts the process when an allocation fails."""
    lack = shortage(needed, what)
    if lack is not None:
        raise TableError(f"{name}: {lack}")


def check_tables(
    data: bytes, name: str, builder: RowBuilder | None = None, view: HealthView | None = None
) -> tuple[BuiltTable, ...]:
    """The tables of a file's content, if a director can serve them. name: the file's name, for messages.

    Backends in the view have its health. Raises ConfigError or TableError.
    """
    parsed = parse(data, name, builder)
    warnings_of((name, judge_parsed(parsed)))
    if not isinstance(parsed, ForwardingTables):
        return parsed
    if builder is not None:
        _require_memory_for_rows(parsed, name, builder)
    return build_all(parsed if view is None else with_known_health(parsed, view), builder)


Parsed: TypeAlias = ForwardingTables | tuple[BuiltTable, ...]
"""The tables of a JSON source, or of a GLBD binary, which has no checks."""


def parse(data: bytes, name: str, builder: RowBuilder | None = None) -> Parsed:
    """Parse a table file's content. name: the file's name, for messages. Raises ConfigError or TableError."""
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


def judge_parsed(parsed: Parsed, config: DirectorConfig | None = None, host: Host | None = None) -> Iterator[Note]:
    """The notes about a table file: of its keys, and of its values as by `judge_tables`."""
    if isinstance(parsed, ForwardingTables):
        yield from parsed.notes
    yield from judge_tables(tables_in(parsed), config, host)


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
