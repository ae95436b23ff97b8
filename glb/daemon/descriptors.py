# SPDX-License-Identifier: MIT
"""The limit of open files and sockets of a daemon: raised at its start and compared with the needs of its checks."""

import asyncio
import logging
import resource
from collections.abc import Callable
from pathlib import Path

from glb.waiting import wait_for_any

log = logging.getLogger(__name__)

_REFRESH_SECONDS = 10.0
_FOR_LISTENERS = 192  # connections of control socket, agent and metrics together
_SPARE = 64  # for reloads, the watch on the network, and captures


def raise_limit() -> None:
    """Raise the soft limit RLIMIT_NOFILE to the hard limit, which needs no privilege."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def shortage(limit: int, opened: int, checks: int) -> str | None:
    """The reason why descriptors may run out, or None. Each check may hold one socket at any time."""
    needed = opened + checks + _FOR_LISTENERS + _SPARE
    if limit >= needed:
        return None
    return f"{checks} health checks may need {needed} descriptors (files and sockets), but the limit is {limit}"


async def watch_descriptors(checks: Callable[[], int], stop: asyncio.Event) -> None:
    """Log that descriptors may run out, once for each number of checks, until stop is set.

    checks: returns the current number of checks.
    """
    judged = -1
    while not stop.is_set():
        number = checks()
        if number != judged:
            judged = number
            if why := shortage(resource.getrlimit(resource.RLIMIT_NOFILE)[0], _opened(), number):
                log.warning("descriptors may run out: %s", why)
        await wait_for_any(stop, seconds=_REFRESH_SECONDS)


def _opened() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
