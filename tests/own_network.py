# SPDX-License-Identifier: MIT
"""A network namespace for the sockets of a test: what is local there is the test's own choice."""

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pyroute2 import IPRoute

_CLONE_NEWNET = 0x40000000
_NO_DUPLICATE_DETECTION = 0x02
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_network(*addresses: str) -> Iterator[None]:
    """This thread in a new network namespace, whose loopback interface is up and has these addresses."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _check(_libc.unshare(_CLONE_NEWNET))
        try:
            add_addresses("lo", addresses)
            yield
        finally:
            _check(_libc.setns(before, _CLONE_NEWNET))
    finally:
        os.close(before)


def add_addresses(interface: str, addresses: Iterable[str]) -> None:
    """Set the interface up, and give it single addresses."""
    with IPRoute() as ip:
        [index] = ip.link_lookup(ifname=interface)
        ip.link("set", index=index, state="up")
        for address in addresses:
            ip.addr("add", index=index, address=address, prefixlen=128 if ":" in address else 32, **_flags(address))


def lead_nowhere(address: str) -> None:
    """Let packets to this address vanish without an answer: they come back, and are for no host here."""
    with IPRoute() as ip:
        [index] = ip.link_lookup(ifname="lo")
        ip.route("replace", dst=f"{address}/{128 if ':' in address else 32}", oif=index)


def _flags(address: str) -> dict[str, int]:
    return {"flags": _NO_DUPLICATE_DETECTION} if ":" in address else {}


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
