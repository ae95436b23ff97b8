# SPDX-License-Identifier: MIT
"""Checks the files of a director and a proxy as a start would, without loading them."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from glb.config.field import Problem, bounded, line
from glb.config.github_differences import differences_of_binds, differences_of_director, differences_of_tables
from glb.config.host import Host
from glb.config.json_files import load_director, load_proxy
from glb.config.json_text import parse_json
from glb.config.judge_director import judge_director
from glb.config.judge_proxy import judge_proxy
from glb.config.model import DirectorConfig, ForwardingTables
from glb.config.note import Note, Severity, lines, warning
from glb.config.parse import GLBD_MAGIC, decode_text
from glb.director.sources import Parsed, judge_parsed, parse, tables_in, this_host
from glb.errors import ConfigError, NetworkError, TableError
from glb.files import read_file
from glb.network.local import host_addresses
from glb.table.build import build_all
from glb.table.row_builder import row_builder

_ELSEWHERE = Host(addresses={}, own={}, broadcasts={}, links={})
"""A host without any known addresses."""


@dataclass(frozen=True, slots=True)
class FileFindings:
    """The errors and warnings of a file; a daemon does not load a file with errors.

    tables: the names of its tables; None for a configuration. differences: what the file means differently to
    glb-director, if that was examined and the file has no error.
    """

    file: str
    errors: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    tables: tuple[str, ...] | None = None
    differences: tuple[str, ...] = ()


def check_proxy(path: Path) -> FileFindings:
    """Check a proxy's configuration."""
    try:
        config = load_proxy(path)
    except ConfigError as error:
        return FileFindings(str(path), error.problems)
    return _checked(path, (), judge_proxy(config))


def check_director(config_file: Path | None, table_file: Path | None) -> Iterator[FileFindings]:
    """Check a director's configuration, its forwarding tables, or both; both are also checked against each other.

    They are checked against this host if `outbound_src_ip` is one of its addresses.
    """
    config, config_errors = _config(config_file)
    parsed, table_errors = _tables(table_file)
    tables = tables_in(parsed)
    host = _host(config)
    if config_file is not None:
        notes = judge_director(config, tables, host or _ELSEWHERE) if config is not None else ()
        yield _checked(config_file, config_errors, notes)
    if table_file is not None:
        notes = judge_parsed(parsed, config, host) if config is not None else _without_config(parsed)
        yield _checked(table_file, table_errors, notes, tuple(table.name for table in tables))


def compare_with_github(found: FileFindings) -> FileFindings:
    """The findings about a director's file, with what the file means differently to glb-director."""
    if found.errors:
        return found
    data = read_file(Path(found.file))
    problems: list[Problem] = []
    if found.tables is not None:
        problems += differences_of_binds(tables_in(parse(data, found.file)))
    if not data.startswith(GLBD_MAGIC):
        raw = parse_json(decode_text(data, found.file), found.file)
        problems += differences_of_director(raw) if found.tables is None else differences_of_tables(raw)
    return replace(found, differences=tuple(line(found.file, problem) for problem in problems))


def _config(path: Path | None) -> tuple[DirectorConfig | None, tuple[str, ...]]:
    if path is None:
        return None, ()
    try:
        return load_director(path), ()
    except ConfigError as error:
        return None, error.problems


def _tables(path: Path | None) -> tuple[Parsed, tuple[str, ...]]:
    """Parse the tables and build their rows, as a director does."""
    if path is None:
        return (), ()
    try:
        parsed = parse(read_file(path), str(path))
        if isinstance(parsed, ForwardingTables):
            build_all(parsed, row_builder())
    except ConfigError as error:
        return (), error.problems
    except TableError as error:
        return (), (str(error),)
    return parsed, ()


def _host(config: DirectorConfig | None) -> Host | None:
    """This host, if `outbound_src_ip` is one of its addresses, or if there is no configuration."""
    with suppress(NetworkError):
        found = {address.ip: address.name for address in host_addresses().all}
        if config is None:
            return this_host(())
        if config.outbound_src_ip in found:
            return this_host((found[config.outbound_src_ip],))
    return None


def _without_config(parsed: Parsed) -> Iterator[Note]:
    """Without a configuration, the director's host is unknown: a conflict with this host is only a warning."""
    host = _host(None)
    alone = list(judge_parsed(parsed))
    yield from alone
    for note in judge_parsed(parsed, None, host):
        if note.severity is Severity.ERROR and note not in alone:
            yield warning(note.place, f"{note.what} (an error if the director runs on this host)")


def _checked(
    path: Path, errors: tuple[str, ...], notes: Iterable[Note], tables: tuple[str, ...] | None = None
) -> FileFindings:
    further, warnings = lines(str(path), notes)
    return FileFindings(str(path), bounded((*errors, *further)), bounded(warnings), tables)
