# SPDX-License-Identifier: MIT
"""Whether traffic still comes: the datapath's own counters tell, read through their pins."""

import asyncio
import time
from collections.abc import Callable, Sequence

from glb.datapath.counters import read_counters

_TAKEN = ("encapsulated", "redirected", "answered_echo", "answered_too_big")
_LOOK_AGAIN_SECONDS = 0.1
_QUIET_SECONDS = 1.0  # without a packet, that count as the end of traffic


def packets_taken(interfaces: Sequence[str]) -> int:
    """The packets to VIPs that the directors of these interfaces have taken so far."""
    counts = [read_counters(interface, "director") for interface in interfaces]
    return sum(count[verdict] for count in counts for verdict in _TAKEN)


async def wait_until_quiet(
    interfaces: Sequence[str], bound: float, called_off: Callable[[], bool] = lambda: False
) -> bool:
    """Wait until no packet has come for a while.

    Returns false if there were still some after `bound` seconds, or when the wait was called off.
    """
    deadline = time.monotonic() + bound
    last, since = packets_taken(interfaces), time.monotonic()
    while (now := time.monotonic()) - since < _QUIET_SECONDS:
        if now > deadline or called_off():
            return False
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        if (count := packets_taken(interfaces)) != last:
            last, since = count, time.monotonic()
    return True
