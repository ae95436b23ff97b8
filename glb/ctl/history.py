# SPDX-License-Identifier: MIT
"""`glbctl table history`: the versions of the tables that were loaded."""

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
    """What can be asked of a history."""

    def listing(self) -> Listing: ...

    def read(self, number: int) -> VersionContent: ...


class DirectorHistory:
    """A running director's: whoever may use its control socket may see it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def listing(self) -> Listing:
        return _listing.validate_python(self._client.get("/v1/tables/history"))

    def read(self, number: int) -> VersionContent:
        return _kept.validate_python(self._client.get(f"/v1/tables/history/{number}"))

    def before(self) -> VersionContent:
        """What a rollback goes back to: the newest version with other tables than the file has."""
        return _kept.validate_python(self._client.get("/v1/tables/history/before"))


def history_of(table: Path | None, iface: str | None, timeout: float = 30) -> TableHistory:
    """The history of a table file, or of the one that this host's director follows, or followed last.

    timeout: seconds that a director's answer may take. Raises GlbError if there is no director, nor a file named.
    """
    if table is not None:
        return History.of(table)
    report = last_director(iface)
    return (
        DirectorHistory(client_of(report, timeout)) if report in running_directors() else History.of(table_of(report))
    )


def history_command(
    version: Annotated[int | None, typer.Argument(help="Show this one, with its source.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what the version changed in the file.")] = False,
    table: Annotated[
        Path | None, typer.Option("--table", help="The table file; by default, that of this host's director.")
    ] = None,
    iface: Iface = None,
    output: Output = Format.TEXT,
) -> None:
    """List the versions of the tables that were loaded, or show one.

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
    text = _difference(past, kept) if diff else kept.source or "(a GLBD binary, of which only the digest is kept)"
    emit(output, {**asdict(kept), "diff": text if diff else None}, text.rstrip())


def _render(versions: list[Version]) -> RenderableType:
    if not versions:
        return "no version is kept yet"
    lines = grid("version", "time (UTC)", "how", "author", "digest", "note", numbers=("version",))
    lines.columns[1].no_wrap = True
    for version in versions:
        time = version.time.partition(".")[0].replace("T", " ")
        author, note = printable_line(version.author), printable_line(version.note)
        lines.add_row(str(version.number), time, version.how, author, version.digest[:12], note)
    return lines


def _difference(past: TableHistory, kept: VersionContent) -> str:
    """What a version changed, as a unified diff against the one before that can be read."""
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
