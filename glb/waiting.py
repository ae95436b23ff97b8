# SPDX-License-Identifier: MIT
"""Wait in an event loop for the first of several events, and for the end of a process."""

import asyncio
import select
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def wait_for_any(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Wait until one of the events is set, or the time has passed."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def unless(stop: asyncio.Event, wanted: Awaitable[T]) -> T | None:
    """The result of `wanted`, or None if stop is set first; then `wanted` is cancelled, since it may never return."""
    working, stopping = asyncio.ensure_future(wanted), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopping.cancel()


def has_ended(pidfd: int, seconds: float) -> bool:
    """Whether a process ends within the time: then its pidfd becomes readable, reaped or not (pidfd_open(2))."""
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    return bool(ended.poll(seconds * 1000))
