"""`glbctl backend`: edit a table's source, and see that the directors have taken it over."""

from typing import Annotated

import typer

from glb.config.edit import fill_backend, remove_backend
from glb.config.model import State
from glb.ctl.drain import drain_command
from glb.ctl.edits import Address, Editing, Force, Source, TableName, make, moving_to
from glb.ctl.output import Format, Output, emit
from glb.ctl.which import table_file

app = typer.Typer(
    help="Backends: drain them, take them out, put them in. The table's source is edited, and directors reload.",
    no_args_is_help=True,
)

Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the directors to reload.")]


def _verb(name: str, edit: Editing, lesson: str) -> None:
    """Add a command that makes the edit."""

    def command(
        path: Source,
        address: Address,
        table: TableName = None,
        force: Force = False,
        timeout: Timeout = 30,
        output: Output = Format.TEXT,
    ) -> None:
        file, only = table_file(path, table)
        made = make(edit, file, address, only, force=force, timeout=timeout)
        emit(output, made.facts(), made.render())
        made.require_takeover()

    app.command(name, help=lesson)(command)


app.command("drain")(drain_command)
_verb(
    "activate",
    moving_to(State.ACTIVE),
    """Make the backend a full member of its table.""",
)
_verb(
    "fill",
    fill_backend,
    """Put a backend in, or back in: it gets new connections, its rows' old ones stay where they are.

    An address that the table does not list yet is added, with its siblings' health checks.
    """,
)
_verb(
    "remove",
    remove_backend,
    """Take the backend out of its table.

    Drain it first: one that is not draining is refused, since the connections that it still has would be cut.
    """,
)
