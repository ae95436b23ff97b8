# SPDX-License-Identifier: MIT
"""Which director of this host a command about tables means."""

from pathlib import Path
from typing import Annotated

import typer

from glb.control.client import Client
from glb.ctl import complete
from glb.daemon.report import Report, all_reports
from glb.errors import ConfigError, GlbError

Iface = Annotated[
    str | None,
    typer.Option(
        "--iface",
        autocompletion=complete.interfaces,
        help="The director of this interface; needed where directors here follow several files.",
    ),
]


def running_directors() -> list[Report]:
    """The reports, one an interface, of the directors that run on this host."""
    return [report for report in all_reports("director") if report.process.is_alive()]


def directors_with(table: Path) -> list[Report]:
    """The same of those that serve from the table file, by whatever name they or the caller know it."""
    return [report for report in running_directors() if Path(str(report.table_file)).resolve() == table.resolve()]


def table_file(source: Path, name: str | None) -> tuple[Path, str | None]:
    """The file that is meant, and the table in it if only one is: a file that is there goes before a table of that name
    which a director here has loaded.

    Raises GlbError if there is neither, or directors here have loaded the name from several files.
    """
    if source.exists():
        return source, name
    loaded = [(table.name, report.table_file) for report in running_directors() for table in report.tables]
    files = {file for table, file in loaded if table == str(source)}
    if not files:
        names = ", ".join(sorted({table for table, _ in loaded})) or "none, since no director runs"
        raise ConfigError(f"{source}: no such file, and no table that a director here has loaded; there are: {names}")
    if len(files) > 1:
        raise GlbError(f"table {source} is loaded from several files; name one: {', '.join(sorted(map(str, files)))}")
    if name not in (None, str(source)):
        raise ConfigError(f"{source} is a table already; --name {name} contradicts it")
    return Path(str(files.pop())), str(source)


def running_director(iface: str | None) -> Report:
    """The running director that is meant."""
    return _one(running_directors(), iface, "no director runs on this host")


def last_director(iface: str | None) -> Report:
    """The same, or the last that ran."""
    running = [report for report in running_directors() if iface in (None, report.interface)]
    return _one(running or all_reports("director"), iface, "no director has run on this host; name the file")


def _one(reports: list[Report], iface: str | None, otherwise: str) -> Report:
    chosen = [report for report in reports if iface in (None, report.interface)]
    if not chosen:
        raise GlbError(otherwise if iface is None else f"{otherwise}, on {iface}")
    if len({report.table_file for report in chosen}) > 1:
        names = ", ".join(f"{report.interface} ({report.table_file})" for report in chosen)
        raise GlbError(f"the directors here follow several files: {names}; choose one with --iface")
    return chosen[0]


def table_of(report: Report) -> Path:
    return Path(str(report.table_file))


def client_of(report: Report, timeout: float) -> Client:
    return Client(Path(str(report.socket)), timeout)
