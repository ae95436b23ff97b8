# SPDX-License-Identifier: MIT
"""How far a drain has come, worked out from one look at the proxy after the other. Nothing here touches the system."""

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
"""The states of a connection that is not over: the client's next packets must find this proxy."""

OVER = "time_wait"
"""The state of one that is: both sides have closed it, and nothing that comes still matters."""

_LOOKS_WITHOUT = 2


@dataclass(frozen=True, slots=True)
class DrainProgress:
    """What is known after some looks. Rates are packets a second between the last two, None until there are two."""

    waited_for: Collection[str] = HOLDING
    answer: AgentCount | None = None
    """The last one, also if the proxy does not answer any more."""
    at: float = 0
    """When it came, in seconds of a clock that never goes back."""
    most: int = 0
    """The most connections that were seen at once."""
    looks_without: int = 0
    """How often in a row there was no connection."""
    established_rate: float | None = None
    """Of packets that were taken because a socket knows them."""
    new_rate: float | None = None
    """Of packets that were taken as beginnings of connections."""
    error: str | None = None
    """Why the last look failed."""

    @property
    def left(self) -> int | None:
        """Connections that are waited for; None as long as the proxy has not answered at all."""
        if self.answer is None:
            return None
        return sum(number for state, number in self.answer.sockets.items() if state in self.waited_for)

    @property
    def drained(self) -> bool:
        """Whether no connection is left. One look is not enough: the beginning of one may have been on its way."""
        return self.looks_without >= _LOOKS_WITHOUT

    def after(self, answer: AgentCount, at: float) -> "DrainProgress":
        """What is known after an answer."""
        seen = replace(self, answer=answer, at=at, error=None)
        left = seen.left or 0
        return replace(
            seen,
            most=max(self.most, left),
            looks_without=0 if left else self.looks_without + 1,
            established_rate=self._rate(answer, at, "taken_established"),
            new_rate=self._rate(answer, at, "taken_syn", "taken_handshake", "taken_syncookie"),
        )

    def after_failure(self, error: str) -> "DrainProgress":
        """What is known after a look that failed: nothing new, and no connection may be thought to be gone."""
        return replace(self, error=error, looks_without=0, established_rate=None, new_rate=None)

    def _rate(self, answer: AgentCount, at: float, *verdicts: str) -> float | None:
        """None also where the counters have begun anew in between."""
        if self.answer is None or self.error is not None or at <= self.at:
            return None
        more = sum(answer.packets.get(name, 0) - self.answer.packets.get(name, 0) for name in verdicts)
        return more / (at - self.at) if more >= 0 else None


_ANSWER_SECONDS = 5.0


def watch_connections(
    agent: AgentClient,
    wanted: BindQuery,
    timeout: float | None = None,
    waited_for: Collection[str] = HOLDING,
    every: float = 1.0,
) -> Iterator[DrainProgress]:
    """What each look shows; the last one is drained, or the time is up.

    To be begun when every director has the backend as draining. timeout: seconds, None for no end; at least one look
    is taken. An agent that does not answer is asked again.
    """
    began = time.monotonic()
    progress = DrainProgress(waited_for)
    while True:
        left = _left(began, timeout)
        try:
            answer = agent.count(wanted, min(_ANSWER_SECONDS, max(left, every)))
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
    """A backend in the tables of a file that it was drained in."""

    def __init__(self, path: Path, address: Address, tables: Collection[str]) -> None:
        self._path = path
        self._address = address
        self._tables = tables
        self._seen: tuple[int, int] | None = None
        self._moves: tuple[str, ...] = ()

    def moves(self) -> tuple[str, ...]:
        """What somebody else has made of it, such as "web: 10.0.0.11 is active"; empty as long as it drains.

        A file that cannot be read says nothing new.
        """
        with suppress(OSError, ConfigError):
            file = self._path.stat()
            version = (file.st_ino, file.st_mtime_ns)
            if version != self._seen:
                self._moves = tuple(self._found())
                self._seen = version
        return self._moves

    def _found(self) -> Iterator[str]:
        tables = {table.name: table for table in load_tables(self._path).tables}
        for name in self._tables:
            if name not in tables:
                yield f"table {name} is not there any more"
                continue
            states = {backend.address: backend.state for backend in tables[name].backends}
            state = states.get(self._address)
            if state is not State.DRAINING:
                yield f"{name}: {self._address} is {state or 'not listed any more'}"
