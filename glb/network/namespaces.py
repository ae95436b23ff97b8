# SPDX-License-Identifier: MIT
"""Network namespaces by the names that people give, and by the ids that the kernel's helpers take."""

import ctypes
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from glb.errors import NetworkError
from glb.network.rtnetlink import ACK, Message, Rtnetlink, attribute, attributes, number, open_rtnetlink

NAMED = Path("/run/netns")  # where `ip netns add` puts them
_NOT_ASSIGNED = 0xFFFFFFFF
_RTGENMSG = bytes(4)  # struct rtgenmsg, padded: family unspecified
_NSID, _FD = 1, 3  # NETNSA_*
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def namespace_ids(names: Sequence[str]) -> list[int]:
    """The ids of network namespaces as seen from this one; those that have none yet are given one.

    names: under /run/netns, or absolute paths such as /proc/4711/ns/net. Raises NetworkError that names the one that
    is not there.
    """
    with open_rtnetlink() as netlink:
        return [_id(netlink, name) for name in names]


def within(name: str, action: Callable[[], T]) -> T:
    """Run an action inside a network namespace: in a thread of its own, since a thread can enter one alone.

    What it opens there, a socket for instance, stays there. name: as for `namespace_ids`. Raises NetworkError if the
    namespace cannot be entered, and what the action raises.
    """

    def enter_and_act() -> T:
        try:
            _enter(NAMED / name)
        except OSError as error:
            raise NetworkError(f"network namespace {name}: {NAMED / name}: {error.strerror}") from error
        return action()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter_and_act).result()


def _enter(path: Path) -> None:
    """setns(2), which Python has from 3.12 on. Raises OSError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(fd, 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(fd)


def _id(netlink: Rtnetlink, name: str) -> int:
    try:
        fd = os.open(NAMED / name, os.O_RDONLY)  # an absolute path stays what it is
    except OSError as error:
        raise NetworkError(f"network namespace {name}: {NAMED / name}: {error.strerror}") from error
    try:
        if _known_id(netlink, fd) == _NOT_ASSIGNED:
            netlink.request(Message.NEWNSID, _of(fd) + attribute(_NSID, struct.pack("=i", -1)), ACK)
        return _known_id(netlink, fd)
    finally:
        os.close(fd)


def _known_id(netlink: Rtnetlink, fd: int) -> int:
    return number(attributes(netlink.request(Message.GETNSID, _of(fd)), len(_RTGENMSG))[_NSID])


def _of(fd: int) -> bytes:
    return _RTGENMSG + attribute(_FD, struct.pack("=I", fd))
