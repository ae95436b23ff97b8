# SPDX-License-Identifier: MIT
"""The wait for a drain: counts connections at the proxy's agent, and notices changes of the table."""

import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from glb.config.json_files import load_tables
from glb.config.model import Address, State
from glb.drain.agent import AgentClient, AgentCount, BindQuery
from glb.errors import AgentError, ConfigError

HOLDING = frozenset({"established", "syn_recv", "fin_wait1", "fin_wait2", "close_wait", "last_ack", "closing"})
"""TCP states of a connection that still needs this proxy."""

OVER = "time_wait"
"""The TCP state after both sides have closed; further packets do not matter."""

_EMPTY_COUNTS = 2


@dataclass(frozen=True, slots=True)
class DrainProgress:
    """The result of the counts so far. Rates: packets per second between two counts, None before the second."""

    waited_for: Collection[str] = HOLDING
    answer: AgentCount | None = None
    """The last answer, also if the agent does not answer any more."""
    at: float = 0
    """The time of that answer, in seconds of a monotonic clock."""
    most: int = 0
    """The highest count so far."""
    empty_counts: int = 0
    """The number of consecutive counts without a connection."""
    established_rate: float | None = None
    """Packets that belong to a known socket."""
    new_rate: float | None = None
    """Packets that begin connections."""
    error: str | None = None
    """Why the last count failed."""

    @property
    def left(self) -> int | None:
        """Connections that the wait is for; None before the first answer."""
        if self.answer is None:
            return None
        return sum(number for state, number in self.answer.sockets.items() if state in self.waited_for)

    @property
    def drained(self) -> bool:
        """Whether no connection is left, by two consecutive counts: at the first, a SYN may have been in flight."""
        return self.empty_counts >= _EMPTY_COUNTS

    def after(self, answer: AgentCount, at: float) -> "DrainProgress":
        """The progress after an answer."""
        seen = replace(self, answer=answer, at=at, error=None)
        left = seen.left or 0
        return replace(
            seen,
            most=max(self.most, left),
            empty_counts=0 if left else self.empty_counts + 1,
            established_rate=self._rate(answer, at, "taken_established"),
            new_rate=self._rate(answer, at, "taken_syn", "taken_handshake", "taken_syncookie"),
        )

    def after_failure(self, error: str) -> "DrainProgress":
        """The progress after a failed count: the counts without a connection start again."""
        return replace(self, error=error, empty_counts=0, established_rate=None, new_rate=None)

    def _rate(self, answer: AgentCount, at: float, *verdicts: str) -> float | None:
        """None also if the counters were reset in between."""
        if self.answer is None or self.error is not None or at <= self.at:
            return None
        more = sum(answer.packets.get(name, 0) - self.answer.packets.get(name, 0) for name in verdicts)
        return more / (at - self.at) if more >= 0 else None


_ANSWER_SECONDS = 5.0


def watch_connections(
    agent: AgentClient,
    query: BindQuery,
    timeout: float | None = None,
    waited_for: Collection[str] = HOLDING,
    every: float = 1.0,
) -> Iterator[DrainProgress]:
    """Count once in `every` seconds, and yield the progress, until it is drained or the time is up.

    To be started when all directors have loaded the backend as draining. timeout: seconds, None for no limit; there is
    at least one count. If the agent does not answer, the next count follows as usual.
    """
    began = time.monotonic()
    progress = DrainProgress(waited_for)
    while True:
        left = _left(began, timeout)
        try:
            answer = agent.count(query, min(_ANSWER_SECONDS, max(left, every)))
            progress = progress.after(answer, time.monotonic())
        except AgentError as error:
            progress = progress.after_failure(str(error))
        yield progress
        left = _left(began, timeout)
        if progress.drained or left <= 0:
            return
        time.sleep(min(every, left))


def _left(began: float, timeout: float | None) -> float:
    return float("inf") if timeout is None else began + timeout - time.monotonic()


class StillDraining:
    """Whether a backend is still draining in the tables of a file in which it was drained."""

    def __init__(self, path: Path, address: Address, tables: Collection[str]) -> None:
        self._path = path
        self._address = address
        self._tables = tables
        self._seen: tuple[int, int] | None = None
        self._changes: tuple[str, ...] = ()

    def changes(self) -> tuple[str, ...]:
        """What another user has changed, such as "web: 10.0.0.11 is active"; empty while the backend is draining.

        If the file cannot be read, the last result stays.
        """
        with suppress(OSError, ConfigError):
            file = self._path.stat()
            version = (file.st_ino, file.st_mtime_ns)
            if version != self._seen:
                self._changes = tuple(self._found())
                self._seen = version
        return self._changes

    def _found(self) -> Iterator[str]:
        tables = {table.name: table for table in load_tables(self._path).tables}
        for name in self._tables:
            if name not in tables:
                yield f"table {name} does not exist any more"
                continue
            states = {backend.address: backend.state for backend in tables[name].backends}
            state = states.get(self._address)
            if state is not State.DRAINING:
                yield f"{name}: {self._address} is {state or 'not in the table any more'}"
