# SPDX-License-Identifier: MIT
"""Lanes: threads of a daemon that each do one kind of work, one action after another.

A daemon has several, so that an action which takes long or hangs in a system call delays only its own lane. They are
daemon threads in Python's sense: a thread that hangs does not keep the process from exiting.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from glb.errors import GlbError, LaneClosedError

log = logging.getLogger(__name__)

R = TypeVar("R")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class RunningAction:
    """The action that runs in a lane. what: its name; since: its start by time.monotonic()."""

    what: str
    since: float


@dataclass(frozen=True, slots=True)
class _Job:
    what: str
    work: Callable[[], Any]
    future: "Future[Any]"


class Lane:
    """A thread and its queue. All methods are thread-safe."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._pending: set[Hashable] = set()
        self._closed = False
        self._running: RunningAction | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> RunningAction | None:
        """The current action, if any."""
        return self._running

    def submit(self, what: str, work: Callable[[], R]) -> "Future[R]":
        """Queue an action; the future gets its result or error. what: a noun phrase for messages."""
        future: Future[R] = Future()
        if self._closed:
            future.set_exception(LaneClosedError(f"{what}: the daemon is stopping"))
        else:
            self._jobs.put(_Job(what, work, future))
        return future

    async def run(self, what: str, work: Callable[[], R]) -> R:
        """Queue an action and wait for its result, in an event loop."""
        return await asyncio.wrap_future(self.submit(what, work))

    def call(self, what: str, work: Callable[[], R], seconds: float | None = None) -> R:
        """Queue an action and wait for its result, in a thread. Raises TimeoutError after `seconds`."""
        return self.submit(what, work).result(seconds)

    def post(self, what: str, work: Callable[[], object]) -> None:
        """Queue an action without waiting for its result. An error is logged."""
        self.submit(what, work).add_done_callback(partial(_log_error, what))

    def post_once(self, what: str, work: Callable[[], object], key: Hashable = None) -> None:
        """As `post`, unless an action with the same key is still queued. key: by default, `work`."""
        key = work if key is None else key
        if key in self._pending:
            return
        self._pending.add(key)

        def act() -> object:
            self._pending.discard(key)
            return work()

        self.post(what, act)

    def flush(self, seconds: float) -> bool:
        """Wait until all queued actions are done. Returns False if that takes longer than `seconds`."""
        try:
            self.call("flush", lambda: None, seconds)
        except (TimeoutError, LaneClosedError):
            return False
        return True

    def close(self, seconds: float) -> bool:
        """Accept no more actions, drop the queued ones, and wait for the current one.

        Returns False if it still runs after `seconds`.
        """
        self._closed = True
        self._jobs.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._closed:
                job.future.set_exception(LaneClosedError(f"{job.what}: the daemon is stopping"))
            elif job.future.set_running_or_notify_cancel():
                self._running = RunningAction(job.what, time.monotonic())
                _settle(job)
                self._running = None


class Worker(Generic[S]):
    """A service and the only lane in which it is used."""

    def __init__(self, lane: Lane, service: S) -> None:
        self.lane = lane
        self.service = service

    async def run(self, what: str, action: Callable[[S], R]) -> R:
        """Queue an action on the service; return its result or raise its error."""
        return await self.lane.run(what, partial(action, self.service))

    def post_once(self, what: str, action: Callable[[S], object]) -> None:
        """Queue an action on the service, unless the same action is still queued."""
        self.lane.post_once(what, partial(action, self.service), key=(action, id(self.service)))


def _settle(job: _Job) -> None:
    try:
        result = job.work()
    except BaseException as error:
        job.future.set_exception(error)
    else:
        job.future.set_result(result)


def _log_error(what: str, future: "Future[Any]") -> None:
    """Log the error of an action. An internal error is logged with its traceback; the daemon continues."""
    error = None if future.cancelled() else future.exception()
    if isinstance(error, LaneClosedError) or error is None:
        return
    if isinstance(error, GlbError):
        log.error("%s: not done: %s", what, error)
    else:
        log.error("%s: internal error", what, exc_info=error)
