# SPDX-License-Identifier: MIT
"""The kernel's neighbours: reading them, and making it resolve one without a change to any entry.

An entry may have been set by others: permanent, NOARP, or learned from a routing daemon (extern_learn). A netlink
request to use a neighbour (NTF_USE) would make it an ordinary one. So glb sends that request only for addresses without
an entry, and the kernel refuses it if there is one meanwhile (NLM_F_EXCL). For an entry that must be confirmed or tried
again, glb sends an empty datagram (discard port, RFC 863): the kernel acts as for any packet sent there.
"""

import errno
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from glb.network.messages import FAMILIES
from glb.network.routes import NextHop
from glb.network.rtnetlink import ACK, CREATE, EXCL, Message, Rtnetlink, attribute, attributes

_NDMSG = struct.Struct("=BxxxiHBB")  # struct ndmsg: family, ifindex, state, flags, type
_DST, _LLADDR = 1, 2  # NDA_*
_NTF_USE = 0x01
_INCOMPLETE, _REACHABLE, _STALE, _DELAY, _PROBE, _NOARP, _PERMANENT = 0x01, 0x02, 0x04, 0x08, 0x10, 0x40, 0x80  # NUD_*
_USABLE = _REACHABLE | _STALE | _DELAY | _PROBE | _NOARP | _PERMANENT
_AT_REST = _INCOMPLETE | (_USABLE & ~_STALE)  # nothing to do: the entry is being resolved, or its address is valid
_DISCARD_PORT = 9
_MAC_BYTES = 6


@dataclass(frozen=True, slots=True)
class Neighbour:
    """state: NUD_*. mac: 6 bytes, or another link-layer address of the device; empty if unresolved."""

    state: int
    mac: bytes

    @property
    def is_usable(self) -> bool:
        return bool(self.state & _USABLE) and len(self.mac) == _MAC_BYTES and any(self.mac)


Neighbours = Mapping[NextHop, Neighbour]


def known(netlink: Rtnetlink) -> Neighbours:
    """All entries, of IPv4 and of IPv6."""
    found = {}
    for answer in netlink.dump(Message.GETNEIGH, _NDMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        _, ifindex, state, _, _ = _NDMSG.unpack_from(answer)
        values = attributes(answer, _NDMSG.size)
        if _DST in values:
            found[NextHop(ifindex, ip_address(values[_DST]))] = Neighbour(state, values.get(_LLADDR, b""))
    return found


def use(netlink: Rtnetlink, next_hop: NextHop, entry: Neighbour | None) -> None:
    """Have the kernel resolve or confirm a neighbour, unless it does so already or the address was set by others."""
    if entry is None:
        _create(netlink, next_hop)
    elif not entry.state & _AT_REST:
        _send_datagram(next_hop)


def _create(netlink: Rtnetlink, next_hop: NextHop) -> None:
    head = _NDMSG.pack(FAMILIES[next_hop.neighbour.version], next_hop.ifindex, 0, _NTF_USE, 0)
    try:
        netlink.request(Message.NEWNEIGH, head + attribute(_DST, next_hop.neighbour.packed), CREATE | EXCL | ACK)
    except OSError as error:
        if error.errno not in _LEFT_TO_THE_NEXT_QUERY:
            raise


# The entry exists meanwhile; the table of neighbours is full; the device is down or gone.
_LEFT_TO_THE_NEXT_QUERY = {errno.EEXIST, errno.ENOBUFS, errno.ENETDOWN, errno.ENODEV, errno.EINVAL}


def _send_datagram(next_hop: NextHop) -> None:
    """To the next hop itself, which may be outside all routes. If the host's firewall refuses the datagram, other
    packets confirm the entry, or the kernel removes it and it is created again."""
    version = next_hop.neighbour.version
    address = (
        (str(next_hop.neighbour), _DISCARD_PORT)
        if version == 4
        else (str(next_hop.neighbour), _DISCARD_PORT, 0, next_hop.ifindex)
    )
    with suppress(OSError), socket.socket(FAMILIES[version], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, socket.if_indextoname(next_hop.ifindex).encode())
        out.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
        out.sendto(b"", address)
