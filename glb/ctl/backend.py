# SPDX-License-Identifier: MIT
"""`glbctl backend`: edit a table's source, and see that the directors have taken it over."""

from typing import Annotated

import typer

from glb.config.edit import Action
from glb.config.model import AGENT_PORT
from glb.ctl.clearance import AgentPort, Asking, MayCut, Wait
from glb.ctl.drain import drain_command
from glb.ctl.edits import Address, Force, Source, TableName, Wish, make
from glb.ctl.output import Format, Output, emit
from glb.ctl.which import table_file

app = typer.Typer(
    help="Backends: drain them, take them out, put them in. The table's source is edited, and directors reload.",
    no_args_is_help=True,
)

Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=0,
        help="Seconds to wait: for the directors to reload (30 if not given); with --wait, for connections (no end if "
        "not given).",
    ),
]
_TAKEOVER_SECONDS = 30.0


def _verb(action: Action, lesson: str) -> None:
    """Add a command that makes the edit."""

    def command(
        path: Source,
        address: Address,
        table: TableName = None,
        wait: Wait = False,
        timeout: Timeout = None,
        agent_port: AgentPort = AGENT_PORT,
        may_cut: MayCut = False,
        force: Force = False,
        output: Output = Format.TEXT,
    ) -> None:
        file, only = table_file(path, table)
        asking = Asking(may_cut, wait, timeout, agent_port, output)
        wish = Wish(action, file, address, None if only is None else (only,), force)
        made = make(wish, asking, _TAKEOVER_SECONDS if timeout is None or wait else timeout)
        emit(output, made.facts(), made.render())
        made.require_takeover()

    app.command(str(action), help=lesson)(command)


app.command("drain")(drain_command)
_verb(
    Action.ACTIVATE,
    """Make the backend a full member of its table.

    glbctl backend activate web 10.0.0.13
    """,
)
_verb(
    Action.FILL,
    """Put a backend in, or back in: it gets new connections, its rows' old ones stay where they are.

    An address that the table does not list yet is added, with its siblings' health checks.

    glbctl backend fill web 10.0.0.13
    """,
)
_verb(
    Action.DEACTIVATE,
    """Keep a drained backend in its table, but in no row.

    It is refused as `remove` is.

    glbctl backend deactivate web 10.0.0.11 --wait
    """,
)
_verb(
    Action.REMOVE,
    """Take a drained backend out of its table.

    It is refused, and nothing changes, while the backend is not draining, while its proxy's agent still counts
    connections, and while that agent cannot be reached. With --wait the command waits for the last connection.

    glbctl backend remove web 10.0.0.11 --wait --timeout 600
    """,
)
