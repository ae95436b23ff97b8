# SPDX-License-Identifier: MIT
"""How often a daemon looks at its network."""

import asyncio
import ctypes
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from glb.network.changes import changes

_CLONE_NEWNET = 0x40000000


async def looks(every: float, last: float, count: int) -> float:
    """The seconds until `changes` has called for so many looks, each of which takes `last` seconds."""
    began = time.monotonic()
    async for _ in changes(asyncio.Event(), every, lambda: last):
        count -= 1
        if not count:
            break
    return time.monotonic() - began


def in_a_quiet_network(every: float, last: float, count: int) -> float:
    """In a network namespace of its own, where nothing changes."""

    def run() -> float:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(_CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        return asyncio.run(looks(every, last, count))

    with ThreadPoolExecutor(1) as thread:  # which ends, and its namespace with it
        return thread.submit(run).result()


@pytest.mark.parametrize(("last", "least"), [(0.0, 0.2), (0.01, 2.0)])
def test_a_look_that_takes_long_is_repeated_less_often(last: float, least: float) -> None:
    assert least <= in_a_quiet_network(0.05, last, 2) < least + 10
