# SPDX-License-Identifier: MIT
"""`glbctl backend`: edit a backend in a table file, and wait until the directors have loaded the file."""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from glb.config.edit import Action
from glb.config.json_files import load_tables
from glb.config.model import AGENT_PORT
from glb.ctl.connections import EXIT_INTERRUPTED, AgentPort, ConnectionCheck, MayCut, Wait, describe_left, view_of
from glb.ctl.edits import Address, BackendEdit, EditResult, Force, Source, TableName, make_edit
from glb.ctl.output import Format, Output, complain, console, emit
from glb.ctl.targets import table_file
from glb.director.local_directors import describe_left_behind, left_behind
from glb.drain.agent import AgentClient, binds_of_tables
from glb.drain.wait import HOLDING, OVER, DrainProgress, StillDraining, watch_connections
from glb.errors import GlbError

app = typer.Typer(rich_markup_mode="markdown")

Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=0,
        help="Seconds to wait: for the directors to reload (default 30); with --wait, for connections (default: no "
        "limit).",
    ),
]
_RELOAD_SECONDS = 30.0


def _verb(action: Action, lesson: str) -> None:
    """Add the command of an edit."""

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
        check = ConnectionCheck(may_cut, wait, timeout, agent_port, output)
        edit = BackendEdit(action, file, address, None if only is None else (only,), force)
        made = make_edit(edit, check, _RELOAD_SECONDS if timeout is None or wait else timeout)
        emit(output, made.facts(), made.render())
        made.require_reload()

    app.command(str(action), help=lesson)(command)


_POLL_SECONDS = 1.0


class Then(StrEnum):
    """The change of a backend after its last connection."""

    REMOVE = "remove"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class WaitResult:
    """The end of a wait. agent: where connections were counted; None if no table has a tcp bind. seconds: duration of
    the command. moves: changes of the backend by other users, if they ended the wait."""

    agent: str | None
    progress: DrainProgress
    seconds: float
    interrupted: bool = False
    moves: tuple[str, ...] = ()

    @property
    def drained(self) -> bool:
        return (self.agent is None or self.progress.drained) and not self.moves

    def facts(self) -> dict[str, Any]:
        progress = self.progress
        return {
            "agent": self.agent,
            "drained": self.drained,
            "connections": progress.left if self.agent else 0,
            "most": progress.most,
            "sockets": dict(progress.answer.sockets) if progress.answer else None,
            "established_packets_per_second": progress.established_rate,
            "new_packets_per_second": progress.new_rate,
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "moves": self.moves,
            "error": progress.error,
        }


def drain_command(
    path: Source,
    address: Address,
    table: TableName = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until its last connection has closed, and show the progress.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0,
            help="Seconds to wait: for the directors to reload (default 30); with --wait, in total (default: no "
            "limit).",
        ),
    ] = None,
    then: Annotated[
        Then | None, typer.Option("--then", help="With --wait: the change to make once no connection is left.")
    ] = None,
    time_wait: Annotated[
        bool, typer.Option("--time-wait", help="With --wait: also wait for sockets in TIME_WAIT.")
    ] = False,
    agent_port: AgentPort = AGENT_PORT,
    may_cut: MayCut = False,
    force: Force = False,
    output: Output = Format.TEXT,
) -> None:
    """Set the backend to draining: it keeps its connections; new ones go to the next hop of each row.

    With --wait, the command queries the agent on the backend's host until it holds no connection for the table's binds.
    Only tcp is counted: if no bind is tcp, the wait ends at once. Ctrl-C ends the wait, and the backend stays draining.
    Exit status 1 if the time passes first, or if another user activates or removes the backend.

    glbctl backend drain web 10.0.0.11 --wait --timeout 600 --then remove
    """
    if (then or time_wait) and not wait:
        raise typer.BadParameter("--then and --time-wait need --wait")
    began = time.monotonic()
    file, name = table_file(path, table)
    reload_seconds = _RELOAD_SECONDS if timeout is None else timeout
    check = ConnectionCheck(may_cut=may_cut, port=agent_port, output=output)
    edit = BackendEdit(Action.DRAIN, file, address, None if name is None else (name,), force)
    made = make_edit(edit, check, reload_seconds)
    if not wait or not all(outcome.reloaded for outcome in made.outcomes):
        emit(output, made.facts(), made.render())
        made.require_reload()
        return
    if output is Format.TEXT:
        console.print(made.render())
    waited = _wait(made, began, timeout, agent_port, HOLDING | {OVER} if time_wait else HOLDING, output)
    gone = None
    if then and waited.drained:
        _await_directors(made, None if timeout is None else began + timeout, output)
        gone = _finish(then, made, check)
    if output is Format.JSON:
        emit(output, {**made.facts(), "wait": waited.facts(), "then": gone.facts() if gone else None}, "")
    elif gone:
        console.print(gone.render())
    _report_end(waited, made, gone)


def _wait(
    made: EditResult, began: float, timeout: float | None, port: int, waited_for: frozenset[str], output: Format
) -> WaitResult:
    """Count connections until none is left, the time is up, another user changes the backend, or Ctrl-C is pressed."""
    tables = [change.table for change in made.changes]
    query = binds_of_tables(load_tables(made.path).tables, tables)
    if not query.own:
        if output is Format.TEXT:
            console.print(_nothing_to_wait_for(tables))
        return WaitResult(None, DrainProgress(waited_for), time.monotonic() - began)
    address = made.changes[0].address
    watched = StillDraining(made.path, address, tables)
    left = None if timeout is None else began + timeout - time.monotonic()
    progress, interrupted = DrainProgress(waited_for), False
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in background jobs
    agent = AgentClient(address, port)
    with view_of(output, f"{address}") as view:
        try:
            for progress in watch_connections(agent, query, left, waited_for):
                view.show(progress)
                if watched.changes():
                    break
        except KeyboardInterrupt:
            interrupted = True
        view.end(progress)
        return WaitResult(agent.place, progress, time.monotonic() - began, interrupted, watched.changes())


def _nothing_to_wait_for(tables: Sequence[str]) -> str:
    have = "has" if len(tables) == 1 else "have"
    why = f"{', '.join(tables)} {have} no tcp bind; udp datagrams follow the new rows at once"
    return f"nothing to wait for: {why}"


def _await_directors(made: EditResult, deadline: float | None, output: Format) -> None:
    """Wait for daemons of this host that have stopped meanwhile, as in an upgrade: their datapaths still send packets
    to the backend. deadline: by time.monotonic(). Raises GlbError when it has passed."""
    shown = False
    while left := left_behind(made.path):
        if deadline is not None and time.monotonic() >= deadline:
            raise GlbError(f"{describe_left_behind(left)}\n{_state(made)}")
        if not shown and output is Format.TEXT:
            names = ", ".join(report.interface for report in left)
            console.print(f"waiting for the daemon of {names}: its datapath is attached and uses older tables")
        shown = True
        time.sleep(_POLL_SECONDS)


def _finish(then: Then, made: EditResult, check: ConnectionCheck) -> EditResult:
    """Make the change of `then` in the tables in which the backend was drained."""
    action = Action.REMOVE if then is Then.REMOVE else Action.DEACTIVATE
    tables = [change.table for change in made.changes]
    return make_edit(BackendEdit(action, made.path, str(made.changes[0].address), tables), check, _RELOAD_SECONDS)


def _report_end(waited: WaitResult, made: EditResult, gone: EditResult | None) -> None:
    """Raise the error or exit status that belongs to the outcome."""
    if waited.interrupted:
        complain(f"{_state(made)}; {describe_left(waited.progress)}", "interrupted")
        raise typer.Exit(EXIT_INTERRUPTED)
    if waited.moves:
        moves = "; ".join(waited.moves)
        raise GlbError(
            f"the wait ended, as another user changed the backend: {moves}; {describe_left(waited.progress)}"
        )
    if not waited.drained:
        raise GlbError(f"timed out after {waited.seconds:.0f} s: {_state(made)}; {describe_left(waited.progress)}")
    if gone:
        gone.require_reload()


def _state(made: EditResult) -> str:
    return f"{made.changes[0].address} stays draining in {', '.join(change.table for change in made.changes)}"


app.command("drain")(drain_command)
_verb(
    Action.ACTIVATE,
    """Set the backend to active: a full member of its table.

    glbctl backend activate web 10.0.0.13
    """,
)
_verb(
    Action.FILL,
    """Set the backend to filling: it takes new connections; older ones of its rows stay where they are.

    An address that the table does not list yet is added, with the health checks of the other backends.

    glbctl backend fill web 10.0.0.13
    """,
)
_verb(
    Action.DEACTIVATE,
    """Set a drained backend to inactive: it stays in the table, but in no row.

    Refused in the same cases as `remove`.

    glbctl backend deactivate web 10.0.0.11 --wait
    """,
)
_verb(
    Action.REMOVE,
    """Remove a drained backend from its table.

    Refused if the backend is not draining, if its proxy's agent still counts connections, or if the agent cannot be
    reached. With --wait, the command waits for the last connection.

    glbctl backend remove web 10.0.0.11 --wait --timeout 600
    """,
)
