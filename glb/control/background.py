# SPDX-License-Identifier: MIT
"""Slow work for answers: one piece at a time, fair between clients, with rests.

A daemon's health checks run in the same process. Requests that read all maps or list all sockets of a host take at most
half of one CPU, regardless of their number.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

_REST = 1.0  # seconds of rest for each second of work
_LONGEST_REST = 2.0

R = TypeVar("R")


class BackgroundRunner(Protocol):
    """Runs work in the background; awaiting it gives the result or raises the error."""

    def __call__(self, work: Callable[[], R], /) -> Awaitable[R]: ...


class Background:
    """One thread. After each piece of work it rests for as long as that took, at most 2 s."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "costly")
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._rested = 0.0

    async def run(self, source: Hashable, work: Callable[[], R]) -> R:
        """Return the result of work, which runs after earlier work of its source and one piece of each other source.

        If the awaiting task is cancelled before the work has started, the work is skipped.
        """
        turn = self._turns.setdefault(source, asyncio.Lock())
        async with turn:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def close(self) -> None:
        """Drop work that has not started."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _work(self, work: Callable[[], R]) -> R:
        time.sleep(max(0.0, self._rested - time.monotonic()))
        began = time.monotonic()
        try:
            return work()
        finally:
            ended = time.monotonic()
            self._rested = ended + min(_REST * (ended - began), _LONGEST_REST)
