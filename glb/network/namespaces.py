# SPDX-License-Identifier: MIT
"""Network namespaces by the names that people give, and by the ids that the kernel's helpers take."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pyroute2 import IPRoute, netns

from glb.errors import NetworkError
from glb.network.netlink import open_netlink

NAMED = Path("/run/netns")  # where `ip netns add` puts them
_NOT_ASSIGNED = 0xFFFFFFFF

T = TypeVar("T")


def namespace_ids(names: Sequence[str]) -> list[int]:
    """The ids of network namespaces as seen from this one; those that have none yet are given one.

    names: under /run/netns, or absolute paths such as /proc/4711/ns/net. Raises NetworkError that names the one that
    is not there.
    """
    with open_netlink() as netlink:
        return [_id(netlink, name) for name in names]


def within(name: str, action: Callable[[], T]) -> T:
    """Run an action inside a network namespace: in a thread of its own, since a thread can enter one alone.

    What it opens there, a socket for instance, stays there. name: as for `namespace_ids`. Raises NetworkError if the
    namespace cannot be entered, and what the action raises.
    """

    def enter_and_act() -> T:
        try:
            netns.setns(str(NAMED / name), flags=0)
        except OSError as error:
            raise NetworkError(f"network namespace {name}: {NAMED / name}: {error.strerror}") from error
        return action()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter_and_act).result()


def _id(netlink: IPRoute, name: str) -> int:
    try:
        fd = os.open(NAMED / name, os.O_RDONLY)  # an absolute path stays what it is
    except OSError as error:
        raise NetworkError(f"network namespace {name}: {NAMED / name}: {error.strerror}") from error
    try:
        if _known_id(netlink, fd) == _NOT_ASSIGNED:
            netlink.set_netnsid(fd=fd)
        return _known_id(netlink, fd)
    finally:
        os.close(fd)


def _known_id(netlink: IPRoute, fd: int) -> int:
    return int(netlink.get_netnsid(fd=fd)["nsid"]) & 0xFFFFFFFF
