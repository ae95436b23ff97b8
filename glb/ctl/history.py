# SPDX-License-Identifier: MIT
"""`glbctl table history`: the versions of the tables that were loaded."""

import difflib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from glb.ctl.output import Format, Output, emit, grid, warn
from glb.ctl.past import Past, past_of
from glb.ctl.which import Iface
from glb.history.version import Kept, Version
from glb.printable import printable_line


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
    past = past_of(table, iface)
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


def _difference(past: Past, kept: Kept) -> str:
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
