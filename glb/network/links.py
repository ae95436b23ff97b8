# SPDX-License-Identifier: MIT
"""Network interfaces by their index, each looked up once."""

from glb.network.messages import Link, link
from glb.network.rtnetlink import Rtnetlink


class Links:
    """The interfaces of the socket's network namespace. Raises OSError for an unknown index."""

    def __init__(self, netlink: Rtnetlink) -> None:
        self._netlink = netlink
        self._known: dict[int, Link] = {}

    def __getitem__(self, index: int) -> Link:
        if index not in self._known:
            self._known[index] = link(self._netlink, index)
        return self._known[index]
