# SPDX-License-Identifier: MIT
"""How many files and sockets a daemon may have open: raised at its start, and compared with what its checks need."""

import asyncio
import logging
import resource
from collections.abc import Callable
from pathlib import Path

from glb.waiting import wait_for_any

log = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0
_FOR_LISTENERS = 192  # connections that the control socket, the agent and the metrics accept together
_SPARE = 64  # for reloads, the watch on the network, and captures


def raise_limit() -> None:
    """Raise RLIMIT_NOFILE to the hard limit, which any process may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def shortage(limit: int, opened: int, checks: int) -> str | None:
    """Why descriptors may run out; None if they do not. Each check may have a socket at the same time."""
    needed = opened + checks + _FOR_LISTENERS + _SPARE
    if limit >= needed:
        return None
    return f"{checks} health checks may need {needed} descriptors (files and sockets), but the limit is {limit}"


async def watch_descriptors(checks: Callable[[], int], stop: asyncio.Event) -> None:
    """Log when descriptors may run out, once for each number of checks, until stop is set.

    checks: their number as it is now.
    """
    judged = -1
    while not stop.is_set():
        number = checks()
        if number != judged:
            judged = number
            if why := shortage(resource.getrlimit(resource.RLIMIT_NOFILE)[0], _opened(), number):
                log.warning("descriptors may run out: %s", why)
        await wait_for_any(stop, seconds=_LOOK_SECONDS)


def _opened() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
