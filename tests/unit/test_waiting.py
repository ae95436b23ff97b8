# SPDX-License-Identifier: MIT
"""Waiting ends with whatever comes first, and leaves no task behind that still waits."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from glb.waiting import unless, wait_for_any

T = TypeVar("T")


def in_a_loop(work: Awaitable[T]) -> T:
    async def run() -> T:
        before = asyncio.all_tasks()
        result = await work
        await asyncio.sleep(0)  # what was cancelled ends
        assert asyncio.all_tasks() == before
        return result

    return asyncio.run(asyncio.wait_for(run(), 30))


async def set_soon() -> asyncio.Event:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    return event


def test_one_of_the_events_is_enough() -> None:
    async def wait() -> None:
        await wait_for_any(asyncio.Event(), await set_soon())

    in_a_loop(wait())


def test_the_time_is_enough() -> None:
    in_a_loop(wait_for_any(asyncio.Event(), seconds=0.01))


def test_the_result_is_returned_and_the_error_raised() -> None:
    async def fail() -> None:
        raise ValueError("of what is wanted")

    assert in_a_loop(unless(asyncio.Event(), asyncio.sleep(0, 7))) == 7
    with pytest.raises(ValueError, match="of what is wanted"):
        in_a_loop(unless(asyncio.Event(), fail()))


def test_a_stop_ends_the_wait() -> None:
    async def wait() -> object:
        return await unless(await set_soon(), asyncio.sleep(3600, 7))

    assert in_a_loop(wait()) is None
