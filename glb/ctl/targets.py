# SPDX-License-Identifier: MIT
"""The director and table file of this host that a command applies to."""

from pathlib import Path
from typing import Annotated

import typer

from glb.control.client import Client
from glb.ctl import complete
from glb.daemon.report import Report, local_reports
from glb.errors import ConfigError, GlbError

Iface = Annotated[
    str | None,
    typer.Option(
        "--iface",
        autocompletion=complete.interfaces,
        help="The director on this interface; required if directors here follow several files.",
    ),
]


def running_directors() -> list[Report]:
    """The reports of the running directors of this host, one for each interface."""
    return [report for report in local_reports("director") if report.process.is_alive()]


def directors_with(table: Path) -> list[Report]:
    """Those of the running directors that follow the table file, under any path to it."""
    return [report for report in running_directors() if Path(str(report.table_file)).resolve() == table.resolve()]


def table_file(source: Path, name: str | None) -> tuple[Path, str | None]:
    """The file that `source` refers to, and the table in it, if `source` or `name` gives one.

    An existing file takes precedence over a loaded table of that name. Raises GlbError if there is neither, or if
    directors here have loaded tables of that name from several files.
    """
    if source.exists():
        return source, name
    loaded = [(table.name, report.table_file) for report in running_directors() for table in report.tables]
    files = {file for table, file in loaded if table == str(source)}
    if not files:
        names = ", ".join(sorted({table for table, _ in loaded})) or "none, since no director runs"
        raise ConfigError(
            f"{source}: neither a file nor a table that a director here has loaded; loaded tables: {names}"
        )
    if len(files) > 1:
        raise GlbError(
            f"table {source} is loaded from several files; give one of them: {', '.join(sorted(map(str, files)))}"
        )
    if name not in (None, str(source)):
        raise ConfigError(f"{source} is a table already; --name {name} contradicts it")
    return Path(str(files.pop())), str(source)


def running_director(iface: str | None) -> Report:
    """The only running director, or the one on an interface. Raises GlbError if there is none, or a choice."""
    return _one(running_directors(), iface, "no director runs on this host")


def last_director(iface: str | None) -> Report:
    """As `running_director`, or else the last director that ran."""
    running = [report for report in running_directors() if iface in (None, report.interface)]
    return _one(running or local_reports("director"), iface, "no director has run on this host; give the file")


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
