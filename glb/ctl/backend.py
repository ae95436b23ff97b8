# SPDX-License-Identifier: MIT
"""`glbctl backend`: edit a table's source, and see that the directors have taken it over."""

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
        check = ConnectionCheck(may_cut, wait, timeout, agent_port, output)
        wish = BackendEdit(action, file, address, None if only is None else (only,), force)
        made = make_edit(wish, check, _TAKEOVER_SECONDS if timeout is None or wait else timeout)
        emit(output, made.facts(), made.render())
        made.require_takeover()

    app.command(str(action), help=lesson)(command)


_BETWEEN_LOOKS = 1.0


class Then(StrEnum):
    """What becomes of a backend without connections."""

    REMOVE = "remove"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class WaitResult:
    """How a wait has ended. agent: who was asked; None if there was nothing to ask for, as no table has a tcp bind.
    seconds: how long the whole took. moves: what others have made of the backend meanwhile, if that has ended it."""

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
        bool, typer.Option("--wait", help="Show how many connections it still has, until there is none.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0,
            help="Seconds to wait: for the directors to reload (30 if not given); with --wait, for all (no end if not "
            "given).",
        ),
    ] = None,
    then: Annotated[
        Then | None, typer.Option("--then", help="With --wait: what to do once no connection is left.")
    ] = None,
    time_wait: Annotated[
        bool, typer.Option("--time-wait", help="With --wait: wait for sockets in TIME_WAIT too.")
    ] = False,
    agent_port: AgentPort = AGENT_PORT,
    may_cut: MayCut = False,
    force: Force = False,
    output: Output = Format.TEXT,
) -> None:
    """Keep the backend's connections, give it no new ones: they go to the next hop of each row.

    With --wait, the agent on the backend's host is asked how many connections it still holds for the table's binds,
    until there is none. Only tcp has connections: where no bind is tcp, there is nothing to wait for. Interrupting the
    wait (Ctrl-C) changes nothing: the backend stays draining. Exit status 1 if the time passes first, or if somebody
    puts the backend back, or takes it away, meanwhile.

    glbctl backend drain web 10.0.0.11 --wait --timeout 600 --then remove
    """
    if (then or time_wait) and not wait:
        raise typer.BadParameter("--then and --time-wait need --wait")
    began = time.monotonic()
    file, name = table_file(path, table)
    takeover = _TAKEOVER_SECONDS if timeout is None else timeout
    check = ConnectionCheck(may_cut=may_cut, port=agent_port, output=output)
    wish = BackendEdit(Action.DRAIN, file, address, None if name is None else (name,), force)
    made = make_edit(wish, check, takeover)
    if not wait or not all(outcome.reloaded for outcome in made.outcomes):
        emit(output, made.facts(), made.render())
        made.require_takeover()
        return
    if output is Format.TEXT:
        console.print(made.render())
    waited = _wait(made, began, timeout, agent_port, HOLDING | {OVER} if time_wait else HOLDING, output)
    gone = None
    if then and waited.drained:
        _await_directors(made, None if timeout is None else began + timeout, output)
        gone = _go_on(then, made, check)
    if output is Format.JSON:
        emit(output, {**made.facts(), "wait": waited.facts(), "then": gone.facts() if gone else None}, "")
    elif gone:
        console.print(gone.render())
    _judge(waited, made, gone)


def _wait(
    made: EditResult, began: float, timeout: float | None, port: int, waited_for: frozenset[str], output: Format
) -> WaitResult:
    """Look until no connection is left, the time is up, somebody has changed the table, or the user has had enough."""
    tables = [change.table for change in made.changes]
    wanted = binds_of_tables(load_tables(made.path).tables, tables)
    if not wanted.own:
        if output is Format.TEXT:
            console.print(_nothing_to_wait_for(tables))
        return WaitResult(None, DrainProgress(waited_for), time.monotonic() - began)
    address = made.changes[0].address
    standing = StillDraining(made.path, address, tables)
    left = None if timeout is None else began + timeout - time.monotonic()
    progress, interrupted = DrainProgress(waited_for), False
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which scripts have ignored by what they run beside them
    agent = AgentClient(address, port)
    with view_of(output, f"{address}") as view:
        try:
            for progress in watch_connections(agent, wanted, left, waited_for):
                view.show(progress)
                if standing.moves():
                    break
        except KeyboardInterrupt:
            interrupted = True
        view.end(progress)
        return WaitResult(agent.place, progress, time.monotonic() - began, interrupted, standing.moves())


def _nothing_to_wait_for(tables: Sequence[str]) -> str:
    have = "has" if len(tables) == 1 else "have"
    why = f"{', '.join(tables)} {have} no tcp bind, and udp has no connections: datagrams follow the new rows at once"
    return f"nothing to wait for: {why}"


def _await_directors(made: EditResult, deadline: float | None, output: Format) -> None:
    """Wait for the daemons of this host that have ended meanwhile, as in an upgrade: their datapaths still send packets
    to the backend. deadline: by time.monotonic(). Raises GlbError when it has passed."""
    shown = False
    while left := left_behind(made.path):
        if deadline is not None and time.monotonic() >= deadline:
            raise GlbError(f"{describe_left_behind(left)}\n{_state(made)}")
        if not shown and output is Format.TEXT:
            names = ", ".join(report.interface for report in left)
            console.print(f"waiting for the daemon of {names}: its datapath is attached, and sends by older tables")
        shown = True
        time.sleep(_BETWEEN_LOOKS)


def _go_on(then: Then, made: EditResult, check: ConnectionCheck) -> EditResult:
    """In the tables that the backend was drained in, and in no others."""
    action = Action.REMOVE if then is Then.REMOVE else Action.DEACTIVATE
    tables = [change.table for change in made.changes]
    return make_edit(BackendEdit(action, made.path, str(made.changes[0].address), tables), check, _TAKEOVER_SECONDS)


def _judge(waited: WaitResult, made: EditResult, gone: EditResult | None) -> None:
    """End with the status that says how it went."""
    if waited.interrupted:
        complain(f"{_state(made)}; {describe_left(waited.progress)}", "interrupted")
        raise typer.Exit(EXIT_INTERRUPTED)
    if waited.moves:
        moves = "; ".join(waited.moves)
        raise GlbError(
            f"not waited for any longer, since somebody has changed it: {moves}; {describe_left(waited.progress)}"
        )
    if not waited.drained:
        raise GlbError(f"the time is up after {waited.seconds:.0f} s: {_state(made)}; {describe_left(waited.progress)}")
    if gone:
        gone.require_takeover()


def _state(made: EditResult) -> str:
    return f"{made.changes[0].address} stays draining in {', '.join(change.table for change in made.changes)}"


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
