# SPDX-License-Identifier: MIT
"""A netlink socket whose errors are told as this folder tells them."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from glb.errors import NetworkError


@contextmanager
def open_netlink() -> Iterator[IPRoute]:
    """Of this network namespace. The kernel's refusals, such as about an interface that has just gone, are raised as
    NetworkError."""
    with IPRoute() as socket:
        try:
            yield socket
        except NetlinkError as error:
            raise NetworkError(f"netlink: {error.args[-1]}") from error
