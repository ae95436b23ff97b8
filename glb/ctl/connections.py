# SPDX-License-Identifier: MIT
"""Connections that a change may cut: counted by the agents of the proxies, waited for, and shown as progress."""

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
from glb.printable import plural
from glb.table.plan import Plan

EXIT_INTERRUPTED = 130  # as shells report SIGINT

Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until the connections that the change may cut have closed, then make it.")
]
MayCut = Annotated[
    bool,
    typer.Option(
        "--may-cut", help="Make the change even if it may cut older connections; the proxies are not checked."
    ),
]
AgentPort = Annotated[int, typer.Option("--agent-port", min=1, max=65535, help="The TCP port of the proxies' agents.")]


@dataclass(frozen=True, slots=True)
class ConnectionCheck:
    """How to check the proxies for connections. may_cut: skip the check. wait: wait until no connection is left;
    timeout: seconds for that, None for no limit."""

    may_cut: bool = False
    wait: bool = False
    timeout: float | None = None
    port: int = AGENT_PORT
    output: Format = Format.TEXT


@dataclass(frozen=True, slots=True)
class Clearance:
    """A backend without connections that the change may cut. agent: where they were counted; None if no bind is TCP."""

    address: Address
    agent: str | None

    def __str__(self) -> str:
        if self.agent is None:
            return f"{self.address}: nothing to wait for: none of its binds is tcp"
        return f"{self.address}: no connections left (agent {self.agent})"

    def facts(self) -> dict[str, Any]:
        return {"address": str(self.address), "agent": self.agent}


def check_connections(plan: Plan, binds: Sequence[Bind], check: ConnectionCheck) -> tuple[Clearance, ...]:
    """Check that the proxies hold no connection that the plan may cut. binds: of all loaded tables.

    Raises GlbError, which gives the remaining connections, if there are any and they are not waited for, or the time
    has passed.
    """
    if check.may_cut:
        return ()
    deadline = None if check.timeout is None else time.monotonic() + check.timeout
    return tuple(_check_backend(plan, address, query, check, deadline) for address, query in _queries(plan, binds))


def _queries(plan: Plan, binds: Sequence[Bind]) -> Iterator[tuple[Address, BindQuery]]:
    """Each backend concerned, once, with the query for its agent."""
    concerned: dict[Address, set[Bind]] = {}
    for finding in plan.doubts:
        if finding.backend is not None:
            concerned.setdefault(finding.backend, set()).update(map(parse_bind, finding.binds))
    for address, own in concerned.items():
        yield address, query_among(binds, own)


def _check_backend(
    plan: Plan, address: Address, query: BindQuery, check: ConnectionCheck, deadline: float | None
) -> Clearance:
    if not query.own:
        return Clearance(address, None)
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    progress = DrainProgress(HOLDING)
    if check.wait:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    agent = AgentClient(address, check.port)
    with view_of(check.output, f"{address}", quiet=not check.wait) as view:
        try:
            for progress in watch_connections(agent, query, left, HOLDING):
                view.show(progress)
                if not check.wait and (progress.left or progress.error):
                    break
        except KeyboardInterrupt:
            complain(f"nothing was changed; {address}: {describe_left(progress)}", "interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        view.end(progress)
        if progress.drained:
            return Clearance(address, agent.place)
    hint = "timed out" if check.wait else "--wait waits until none is left"
    raise GlbError(f"{plan.doubt()}\n{address}: {describe_left(progress)}; nothing was changed ({hint})")


def print_cleared(cleared: Sequence[Clearance], output: Format) -> None:
    """Print the results, for people."""
    if output is Format.TEXT:
        for each in cleared:
            console.print(str(each), soft_wrap=True)


def describe_left(progress: DrainProgress) -> str:
    """The number of connections, as a clause."""
    if progress.error:
        return f"its number of connections is unknown: {progress.error}"
    return f"{plural(progress.left or 0, 'connection')} left"


_SECONDS_BETWEEN_LINES = 3.0


class DrainView(Protocol):
    """Shows the progress of a drain. To be used in a `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, progress: DrainProgress) -> None: ...

    def end(self, progress: DrainProgress) -> None:
        """Leave the final state on the screen."""


def view_of(output: Format, title: str, quiet: bool = False) -> DrainView:
    """The view for an output format. title: the backend. quiet: show nothing."""
    if quiet or output is Format.JSON:
        return _Silence()
    return _LiveBar(title) if console.is_terminal else _Lines(title)


def describe_progress(progress: DrainProgress) -> str:
    """One line: the remaining connections by state, and packets per second."""
    if progress.answer is None:
        return progress.error or "no answer yet"
    if progress.error is not None:
        return f"{plural(progress.left or 0, 'connection')} at the last answer; {progress.error}"
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
    """A bar that fills as connections close, relative to their highest number."""

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
        """Before the first answer the bar has no length and pulses."""
        known = progress.left is not None
        gone = progress.most - (progress.left or 0)
        total, completed = (progress.most or 1, gone if progress.most else 1) if known else (None, 0)
        self._bar.update(self._task, total=total, completed=completed, facts=describe_progress(progress))

    def end(self, progress: DrainProgress) -> None:
        self.show(progress)
