# SPDX-License-Identifier: MIT
"""`glbctl check`: validate files before a daemon loads them."""

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from glb import paths
from glb.ctl.output import Format, Output, emit, errors, warn
from glb.director.check_files import FileFindings, check_director, check_proxy, compare_with_github
from glb.printable import plural

_EXIT_BAD_INPUT = 2


class OtherDirector(StrEnum):
    """Programs that read a director's files, too."""

    GITHUB = "glb-director"


def check_command(
    config: Annotated[Path | None, typer.Option("--config", help="A director's configuration.")] = None,
    table: Annotated[Path | None, typer.Option("--table", help="A file of forwarding tables.")] = None,
    proxy: Annotated[Path | None, typer.Option("--proxy", help="A proxy's configuration.")] = None,
    other: Annotated[
        OtherDirector | None,
        typer.Option("--as", help="Also list what a director's files mean differently to another program."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Check files as a daemon does at its start, without changing anything. Exit status 2 if a file has an error.

    Without options, it checks the files in /etc/glb that exist. The two files of a director are also checked against
    each other, and against this host if `outbound_src_ip` is one of its addresses. Daemons load files that have only
    warnings. `--as glb-director` also lists what a director's files mean differently to GitHub's glb-director.

    glbctl check --config director.conf --table forwarding_table.json
    glbctl check --as glb-director
    """
    if config is None and table is None and proxy is None:
        config, table, proxy = map(_if_there, (paths.director_config(), paths.forwarding_table(), paths.proxy_config()))
        if config is None and table is None and proxy is None:
            raise typer.BadParameter(f"no file in {paths.config_dir()}; give one with --config, --table or --proxy")
    checked = list(check_director(config, table))
    if other is OtherDirector.GITHUB:
        checked = [compare_with_github(file) for file in checked]
    if proxy is not None:
        checked.append(check_proxy(proxy))
    if output is Format.JSON:
        emit(output, [_facts(file) for file in checked], "")
    else:
        print_checked(checked)
    if any(file.errors for file in checked):
        raise typer.Exit(_EXIT_BAD_INPUT)


def print_checked(checked: Sequence[FileFindings]) -> None:
    """Errors and warnings on stderr, then a line for each file without errors, and the differences to glb-director."""
    for line in (line for file in checked for line in file.errors):
        errors.print(f"error: {line}", style="red")
    for line in (line for file in checked for line in file.warnings):
        warn(f"warning: {line}")
    for file in (file for file in checked if not file.errors):
        count = len(file.warnings)
        typer.echo(f"{file.file}: valid" + (f", {plural(count, 'warning')}" if count else ""))
    for line in (line for file in checked for line in file.differences):
        typer.echo(f"to glb-director: {line}")


def _if_there(path: Path) -> Path | None:
    return path if path.exists() else None


def _facts(file: FileFindings) -> dict[str, object]:
    return {"good": not file.errors, **asdict(file)}
