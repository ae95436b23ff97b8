# SPDX-License-Identifier: MIT
"""Facts of network interfaces by their index, each interface looked up once."""

import socket
import struct

from glb.network.rtnetlink import Attributes, Message, Rtnetlink, attributes, number

_IFINFOMSG = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_IFNAME, _MTU = 3, 4  # IFLA_*
_ETHERNET = 1  # ARPHRD_ETHER


class Links:
    """Those of the socket's network namespace. Raises OSError for an index that is not there."""

    def __init__(self, netlink: Rtnetlink) -> None:
        self._netlink = netlink
        self._known: dict[int, tuple[int, Attributes]] = {}

    def name(self, index: int) -> str:
        return self._look_up(index)[1][_IFNAME].rstrip(b"\0").decode()

    def mtu(self, index: int) -> int:
        """In bytes of IP packet."""
        return number(self._look_up(index)[1][_MTU])

    def is_ethernet(self, index: int) -> bool:
        return self._look_up(index)[0] == _ETHERNET

    def _look_up(self, index: int) -> tuple[int, Attributes]:
        """The link's type and its attributes."""
        if index not in self._known:
            answer = self._netlink.ask(Message.GETLINK, _IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, 0, 0))
            self._known[index] = _IFINFOMSG.unpack_from(answer)[1], attributes(answer, _IFINFOMSG.size)
        return self._known[index]
