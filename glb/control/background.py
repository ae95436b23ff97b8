# SPDX-License-Identifier: MIT
"""Answers that cost processor time: one at a time, in turn between those who request them, and with rests.

A daemon's health checks run in the same process. Requests that read all maps, or list all sockets of a host, must not
take more than a share of it, however many are sent.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

_REST = 1.0  # seconds of rest for each second of work: half of one CPU at most
_LONGEST_REST = 2.0

R = TypeVar("R")


class BackgroundRunner(Protocol):
    """Have work done in the background; the awaiter gets its result or error."""

    def __call__(self, work: Callable[[], R], /) -> Awaitable[R]: ...


class Background:
    """One thread, which rests after each piece of work as long as that took, but at most 2 s."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "costly")
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._rested = 0.0

    async def run(self, source: Hashable, work: Callable[[], R]) -> R:
        """The result of work, which waits for earlier work of the same source, and for one piece of each other one.

        If the awaiter is cancelled before the work has begun, it is not done.
        """
        turn = self._turns.setdefault(source, asyncio.Lock())
        async with turn:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def close(self) -> None:
        """Drop what has not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _work(self, work: Callable[[], R]) -> R:
        time.sleep(max(0.0, self._rested - time.monotonic()))
        began = time.monotonic()
        try:
            return work()
        finally:
            ended = time.monotonic()
            self._rested = ended + min(_REST * (ended - began), _LONGEST_REST)
