# SPDX-License-Identifier: MIT
"""Whether the connections that a change may cut are still there: the agents of the proxies that hold them are asked."""

import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Any, Protocol, Self

import typer
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from glb.config.bind_text import parse_bind
from glb.config.model import AGENT_PORT, Address, Bind
from glb.ctl.output import Format, complain, console
from glb.drain.agent import AgentClient, BindQuery, query_among
from glb.drain.wait import HOLDING, OVER, DrainProgress, watch_connections
from glb.errors import GlbError
from glb.table.plan import Plan

EXIT_INTERRUPTED = 130  # as a shell has it for SIGINT

Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until the connections that the change may cut have ended, then make it.")
]
MayCut = Annotated[
    bool, typer.Option("--may-cut", help="Also if older connections may be cut; the proxies are not asked.")
]
AgentPort = Annotated[int, typer.Option("--agent-port", min=1, max=65535, help="The TCP port of the proxies' agents.")]


@dataclass(frozen=True, slots=True)
class ConnectionCheck:
    """How the proxies are asked. may_cut: not at all. wait: until no connection is left. timeout: seconds for that,
    None for no end."""

    may_cut: bool = False
    wait: bool = False
    timeout: float | None = None
    port: int = AGENT_PORT
    output: Format = Format.TEXT


@dataclass(frozen=True, slots=True)
class Clearance:
    """A backend that holds no connection which the change may cut. agent: who said so; None if no bind is TCP."""

    address: Address
    agent: str | None

    def __str__(self) -> str:
        if self.agent is None:
            return f"{self.address}: nothing to wait for, since no bind concerned is tcp"
        return f"{self.address}: no connection is left, says its agent at {self.agent}"

    def facts(self) -> dict[str, Any]:
        return {"address": str(self.address), "agent": self.agent}


def clear(plan: Plan, binds: Sequence[Bind], check: ConnectionCheck) -> tuple[Clearance, ...]:
    """See that nothing is left of what the plan may cut. binds: those of all tables that are loaded.

    Raises GlbError, naming what is left, unless `check` lets it pass or the wait ends in time.
    """
    if check.may_cut:
        return ()
    deadline = None if check.timeout is None else time.monotonic() + check.timeout
    return tuple(_cleared(plan, address, wanted, check, deadline) for address, wanted in _questions(plan, binds))


def _questions(plan: Plan, binds: Sequence[Bind]) -> Iterator[tuple[Address, BindQuery]]:
    """Each backend once."""
    concerned: dict[Address, set[Bind]] = {}
    for finding in plan.doubts:
        if finding.backend is not None:
            concerned.setdefault(finding.backend, set()).update(map(parse_bind, finding.binds))
    for address, own in concerned.items():
        yield address, query_among(binds, own)


def _cleared(
    plan: Plan, address: Address, wanted: BindQuery, check: ConnectionCheck, deadline: float | None
) -> Clearance:
    if not wanted.own:
        return Clearance(address, None)
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    progress = DrainProgress(HOLDING)
    if check.wait:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    agent = AgentClient(address, check.port)
    with view_of(check.output, f"{address}", quiet=not check.wait) as view:
        try:
            for progress in watch_connections(agent, wanted, left, HOLDING):
                view.show(progress)
                if not check.wait and (progress.left or progress.error):
                    break
        except KeyboardInterrupt:
            complain(f"nothing is changed; {address}: {describe_left(progress)}", "interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        view.end(progress)
        if progress.drained:
            return Clearance(address, agent.place)
    what = "the time is up; wait longer" if check.wait else "--wait waits for that"
    raise GlbError(f"{plan.doubt()}\n{address}: {describe_left(progress)}; nothing is changed: {what}")


def print_cleared(cleared: Sequence[Clearance], output: Format) -> None:
    """Show what was found out."""
    if output is Format.TEXT:
        for each in cleared:
            console.print(str(each), soft_wrap=True)


def describe_left(progress: DrainProgress) -> str:
    """How many connections there are, as a clause."""
    if progress.error:
        return f"it is not known how many connections it has: {progress.error}"
    return f"{progress.left} connections are left" if progress.left != 1 else "1 connection is left"


_SECONDS_BETWEEN_LINES = 3.0


class DrainView(Protocol):
    """Shows how far a drain has come. To be used in a `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, progress: DrainProgress) -> None: ...

    def end(self, progress: DrainProgress) -> None:
        """What is to stay on the screen."""


def view_of(output: Format, title: str, quiet: bool = False) -> DrainView:
    """The view for this output. title: whose connections they are. quiet: show nothing."""
    if quiet or output is Format.JSON:
        return _Silence()
    return _LiveBar(title) if console.is_terminal else _Lines(title)


def describe_progress(progress: DrainProgress) -> str:
    """One line: the connections that are left, what they are at, and the packets that show it."""
    if progress.answer is None:
        return progress.error or "not asked yet"
    if progress.error is not None:
        return f"{progress.left} connections when it last answered; {progress.error}"
    sockets = progress.answer.sockets
    open_, opening = sockets.get("established", 0), sockets.get("syn_recv", 0)
    over = sockets.get(OVER, 0)
    closing = sum(sockets.values()) - open_ - opening - over
    kinds = ((open_, "established"), (opening, "opening"), (closing, "closing"), (over, "in TIME_WAIT"))
    shown = ", ".join(f"{number} {kind}" for number, kind in kinds if number)
    parts = [f"{progress.left} of {progress.most} connections left" + (f" ({shown})" if shown else "")]
    if progress.established_rate is not None and progress.new_rate is not None:
        parts.append(f"packets/s: {progress.established_rate:.0f} established, {progress.new_rate:.0f} new")
    return ", ".join(parts)


class _Silence:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, progress: DrainProgress) -> None: ...

    def end(self, progress: DrainProgress) -> None: ...


class _Lines(_Silence):
    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._next = self._began
        self._last = ""

    def show(self, progress: DrainProgress) -> None:
        if time.monotonic() >= self._next:
            self.end(progress)

    def end(self, progress: DrainProgress) -> None:
        line = describe_progress(progress)
        if line != self._last:
            console.print(f"{time.monotonic() - self._began:4.0f} s  {self._title}: {line}", soft_wrap=True)
        self._last = line
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES


class _LiveBar:
    """The bar fills as connections end, measured by the most that there were."""

    def __init__(self, title: str) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(20), TimeElapsedColumn())
        self._bar = Bar(*columns, TextColumn("{task.fields[facts]}", markup=False), console=console)
        self._task = self._bar.add_task(title, total=None, facts="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, progress: DrainProgress) -> None:
        """A bar without a length goes to and fro: nothing is known yet."""
        known = progress.left is not None
        gone = progress.most - (progress.left or 0)
        total, completed = (progress.most or 1, gone if progress.most else 1) if known else (None, 0)
        self._bar.update(self._task, total=total, completed=completed, facts=describe_progress(progress))

    def end(self, progress: DrainProgress) -> None:
        self.show(progress)
