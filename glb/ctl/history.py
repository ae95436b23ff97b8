# SPDX-License-Identifier: MIT
"""`glbctl table history`: the loaded versions of a table file, from a director or from disk."""

import difflib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Protocol

import typer
from pydantic import TypeAdapter
from rich.console import RenderableType

from glb.control.client import Client
from glb.ctl.output import Format, Output, emit, grid, warn
from glb.ctl.targets import Iface, client_of, last_director, running_directors, table_of
from glb.history.store import History, Listing
from glb.history.version import Version, VersionContent
from glb.printable import printable_line

_listing = TypeAdapter(Listing)
_kept = TypeAdapter(VersionContent)


class TableHistory(Protocol):
    """A history that can be listed and read."""

    def listing(self) -> Listing: ...

    def read(self, number: int) -> VersionContent: ...


class DirectorHistory:
    """The history of a running director, over its control socket."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def listing(self) -> Listing:
        return _listing.validate_python(self._client.get("/v1/tables/history"))

    def read(self, number: int) -> VersionContent:
        return _kept.validate_python(self._client.get(f"/v1/tables/history/{number}"))

    def before(self) -> VersionContent:
        """The default of a rollback: the newest version with other tables than the loaded ones."""
        return _kept.validate_python(self._client.get("/v1/tables/history/before"))


def history_of(table: Path | None, iface: str | None, timeout: float = 30) -> TableHistory:
    """The history of a table file, by default of the file that this host's director follows or followed last.

    timeout: seconds for a director's answer. Raises GlbError if no file is given and no director has run here.
    """
    if table is not None:
        return History.of(table)
    report = last_director(iface)
    return (
        DirectorHistory(client_of(report, timeout)) if report in running_directors() else History.of(table_of(report))
    )


def history_command(
    version: Annotated[int | None, typer.Argument(help="Show this version, with its source.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show the changes from the version before.")] = False,
    table: Annotated[
        Path | None, typer.Option("--table", help="The table file; default: that of this host's director.")
    ] = None,
    iface: Iface = None,
    output: Output = Format.TEXT,
) -> None:
    """List the loaded versions of the tables, or show one.

    glbctl table history 12 --diff
    """
    if diff and version is None:
        raise typer.BadParameter("--diff needs a version")
    past = history_of(table, iface)
    if version is None:
        listing = past.listing()
        for fault in listing.damaged:
            warn(fault)
        emit(output, asdict(listing), _render(listing.versions))
        return
    kept = past.read(version)
    text = _difference(past, kept) if diff else kept.source or "(a GLBD binary: only its digest is stored)"
    emit(output, {**asdict(kept), "diff": text if diff else None}, text.rstrip())


def _render(versions: list[Version]) -> RenderableType:
    if not versions:
        return "no versions yet"
    lines = grid("version", "time (UTC)", "how", "author", "digest", "note", numbers=("version",))
    lines.columns[1].no_wrap = True
    for version in versions:
        time = version.time.partition(".")[0].replace("T", " ")
        author, note = printable_line(version.author), printable_line(version.note)
        lines.add_row(str(version.number), time, version.how, author, version.digest[:12], note)
    return lines


def _difference(past: TableHistory, kept: VersionContent) -> str:
    """The unified diff from the last readable version before."""
    number = kept.version.number
    older = next((version.number for version in past.listing().versions if version.number < number), None)
    before = past.read(older).source if older is not None else ""
    lines = difflib.unified_diff(
        (before or "").splitlines(),
        (kept.source or "").splitlines(),
        f"version {older}" if older is not None else "nothing",
        f"version {number}",
        lineterm="",
    )
    return "\n".join(lines)
