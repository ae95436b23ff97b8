# SPDX-License-Identifier: MIT
"""The route to a host, as the kernel looks it up for one of the tunnel's packets (RTM_GETROUTE).

The lookup names source, protocol and destination port, so that rules that select by them (`ip rule add from ... ipproto
udp dport ...`) apply. In a VRF, the VRF's table is used.
"""

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from glb.network.interface import Interface
from glb.network.messages import RTMSG, RTN_LOCAL, RTN_UNICAST, route_to
from glb.network.refusal import PathRefusal, RefusalCause
from glb.network.rtnetlink import Attributes, Message, Rtnetlink, attribute, attributes, number

TUNNEL_PORT = 19523

_RTNEXTHOP = struct.Struct("=HBBi")  # struct rtnexthop: length, flags, hops, ifindex
_FIB_MATCH = 0x2000  # RTM_F_FIB_MATCH: the route itself, not its result for this packet
_DEAD_OR_DOWN = 0x01 | 0x10  # RTNH_F_DEAD, RTNH_F_LINKDOWN
# RTA_*
_DST, _SRC, _OIF, _GATEWAY, _PRIORITY, _METRICS, _MULTIPATH, _TABLE = 1, 2, 4, 5, 6, 8, 9, 15
_VIA, _ENCAP_TYPE, _IP_PROTO, _DPORT = 18, 21, 27, 29
_MTU = 2  # RTAX_MTU
_REFUSED = {
    errno.ENETUNREACH: RefusalCause.NO_ROUTE,
    errno.EHOSTUNREACH: RefusalCause.UNREACHABLE,
    errno.EACCES: RefusalCause.PROHIBITED,
    errno.EINVAL: RefusalCause.BLACKHOLE,
}
_ENCAPSULATIONS = ("none", "mpls", "ip", "ila", "ip6", "seg6", "bpf", "seg6local", "rpl", "ioam6", "xfrm")
_ON_LINK = IPv4Address(0)  # instead of the host, for lookups without one

NextHopAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class NextHop:
    """A next hop of a route: the interface's index, and the router's address, or the host's own.

    An IPv4 route may have a router of IPv6 (RFC 8950).
    """

    ifindex: int
    neighbour: NextHopAddress


@dataclass(frozen=True, slots=True)
class HostRoute:
    """The kernel's choice for the packet. mtu: the limit of IP packets by the route's `mtu` or by a router's message,
    in bytes; None if there is none."""

    next_hop: NextHop
    mtu: int | None


class Routes:
    """Lookups for packets from `source` (None: not known) that leave by the interface's routing table."""

    def __init__(self, netlink: Rtnetlink, interface: Interface, source: IPv4Address | None) -> None:
        self._netlink = netlink
        self._table = attribute(_OIF, struct.pack("=i", interface.vrf)) if interface.vrf else b""
        self._source = b""
        if source is not None and is_local(netlink, source):  # the kernel refuses a source that is not local
            self._source = attribute(_SRC, source.packed)

    def find(self, host: IPv4Address) -> HostRoute | PathRefusal:
        """The next hop that the kernel chooses."""
        try:
            answer = self._look_up(host, 0)
        except OSError as error:
            cause = _REFUSED.get(error.errno or 0, RefusalCause.LOOKUP)
            return PathRefusal(cause, "" if cause is not RefusalCause.LOOKUP else str(error.strerror))
        found = attributes(answer, RTMSG.size)
        if (kind := _type(answer)) != RTN_UNICAST:
            return PathRefusal(RefusalCause.LOCAL if kind == RTN_LOCAL else RefusalCause.NOT_UNICAST)
        if refusal := _encapsulation(found):
            return refusal
        mtu = attributes(found.get(_METRICS, b""), 0).get(_MTU)
        return HostRoute(_next_hop(number(found[_OIF]), found, host), number(mtu) if mtu else None)

    def next_hops(self, host: IPv4Address) -> tuple[NextHop, ...]:
        """The next hops of a route that has several, without those that are down; of any other route, none."""
        try:
            answer = self._look_up(host, _FIB_MATCH)
        except OSError:
            return ()
        return tuple(_next_hops(attributes(answer, RTMSG.size).get(_MULTIPATH, b""), host))

    def _look_up(self, host: IPv4Address, flags: int) -> bytes:
        source_length = 8 * len(host.packed) if self._source else 0
        head = RTMSG.pack(socket.AF_INET, 32, source_length, 0, 0, 0, 0, 0, flags)
        packet = attribute(_IP_PROTO, bytes((socket.IPPROTO_UDP,))) + attribute(_DPORT, struct.pack("!H", TUNNEL_PORT))
        return self._netlink.request(
            Message.GETROUTE, head + attribute(_DST, host.packed) + self._source + self._table + packet
        )


def is_local(netlink: Rtnetlink, address: NextHopAddress) -> bool:
    """Whether the kernel delivers packets for the address locally, by an address or by a route of type local."""
    try:
        return route_to(netlink, address).type == RTN_LOCAL
    except OSError:
        return False


def default_next_hops(netlink: Rtnetlink, interface: Interface) -> tuple[NextHop, ...]:
    """The routers of the IPv4 default routes in the interface's routing table, the most preferred route's first."""
    found: list[tuple[int, Attributes]] = []
    for answer in netlink.dump(Message.GETROUTE, RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
        length, values = RTMSG.unpack_from(answer)[1], attributes(answer, RTMSG.size)
        if not length and _type(answer) == RTN_UNICAST and number(values.get(_TABLE, b"")) == interface.table:
            found.append((number(values.get(_PRIORITY, b"")), values))
    preferred = sorted(found, key=lambda route: route[0])
    return tuple(
        next_hop for _, values in preferred for next_hop in _all_next_hops(values) if next_hop.neighbour != _ON_LINK
    )


def _all_next_hops(values: Attributes) -> Iterator[NextHop]:
    """The next hops of a route with one or several."""
    if _OIF not in values:
        yield from _next_hops(values.get(_MULTIPATH, b""), _ON_LINK)
    elif not _encapsulation(values):
        yield _next_hop(number(values[_OIF]), values, _ON_LINK)


def _type(answer: bytes) -> int:
    kind: int = RTMSG.unpack_from(answer)[7]
    return kind


def _encapsulation(values: Attributes) -> PathRefusal | None:
    if _ENCAP_TYPE not in values:
        return None
    kind = number(values[_ENCAP_TYPE])
    return PathRefusal(
        RefusalCause.ENCAPSULATED, _ENCAPSULATIONS[kind] if kind < len(_ENCAPSULATIONS) else f"type {kind}"
    )


def _next_hops(multipath: bytes, host: IPv4Address) -> Iterator[NextHop]:
    at = 0
    while at + _RTNEXTHOP.size <= len(multipath):
        length, flags, _, ifindex = _RTNEXTHOP.unpack_from(multipath, at)
        values = attributes(multipath[at : at + length], _RTNEXTHOP.size)
        if not flags & _DEAD_OR_DOWN and not _encapsulation(values):
            yield _next_hop(ifindex, values, host)
        at += (length + 3) & ~3


def _next_hop(ifindex: int, values: Attributes, host: IPv4Address) -> NextHop:
    if _VIA in values:
        return NextHop(ifindex, IPv6Address(values[_VIA][2:]))
    if _GATEWAY in values:
        return NextHop(ifindex, IPv4Address(values[_GATEWAY]))
    return NextHop(ifindex, host)
