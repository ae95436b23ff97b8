"""`glbctl check`."""

from pathlib import Path
from typing import Annotated

import typer

from glb.config.load import load_director, read_file
from glb.ctl.output import Format, Output, emit
from glb.director.sources import check_tables


def check_command(
    config: Annotated[Path | None, typer.Option("--config", help="A director's configuration.")] = None,
    table: Annotated[Path | None, typer.Option("--table", help="A file of forwarding tables.")] = None,
    output: Output = Format.TEXT,
) -> None:
    """Check files as a director would at start, and change nothing. Exit status 2 if one is bad."""
    if config is None and table is None:
        raise typer.BadParameter("name a file to check: --config, --table, or both")
    good = []
    if config is not None:
        load_director(config)
        good.append({"file": str(config), "good": True, "tables": None})
    if table is not None:
        tables = check_tables(read_file(table), str(table))
        good.append({"file": str(table), "good": True, "tables": [t.name for t in tables]})
    emit(output, good, "\n".join(f"{fact['file']}: good" for fact in good))
