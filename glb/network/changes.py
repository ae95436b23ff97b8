# SPDX-License-Identifier: MIT
"""Notices of changes of the network, as the kernel's rtnetlink groups send them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from glb.errors import NetworkError
from glb.waiting import wait_for_any

_QUIET_SECONDS = 0.05
_AT_REST = 100
_GROUPS = 0x1 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100
"""RTMGRP_*: LINK, NEIGH, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR"""
_RECEIVE_BYTES = 1 << 16


async def changes(stop: asyncio.Event, every: float, last: Callable[[], float] = lambda: 0.0) -> AsyncIterator[None]:
    """Yields when links, addresses, rules, routes or neighbours have changed and been quiet for a moment, and each
    `every` seconds.

    last: gives the seconds that the last look at the network took. Where a look takes long, as with thousands of hosts,
    it is repeated less often: it takes at most a hundredth of the time at rest, and half of it if changes do not end.
    """
    changed = asyncio.Event()
    with _on_change(changed.set):
        while not stop.is_set():
            await wait_for_any(changed, stop, seconds=max(every, _AT_REST * last()))
            changed.clear()
            await asyncio.sleep(max(_QUIET_SECONDS, last()))
            if not stop.is_set():
                yield


@contextmanager
def _on_change(action: Callable[[], None]) -> Iterator[None]:
    """Calls the action in the running event loop when links, neighbours, addresses, routes or rules of this network
    namespace change. What changed is not read. Raises NetworkError."""
    loop = asyncio.get_running_loop()
    try:
        connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    except OSError as error:
        raise NetworkError(f"netlink: {error.strerror}") from error

    def drain() -> None:
        while True:
            try:
                connection.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: there were more messages than the buffer holds
                continue
        action()

    with connection:
        connection.bind((0, _GROUPS))
        loop.add_reader(connection, drain)
        try:
            yield
        finally:
            loop.remove_reader(connection)
