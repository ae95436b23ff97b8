# SPDX-License-Identifier: MIT
"""Links, addresses and routes, as the kernel describes them (rtnetlink(7), linux/if_link.h, linux/rtnetlink.h).

Only the fields that glb needs are read. pyroute2 reads all of them, which takes a daemon 25 MB of memory for its
classes and 2 % of a CPU at rest.
"""

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from glb.network.rtnetlink import Attributes, Message, Rtnetlink, attribute, attributes, number

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

IFF_LOOPBACK, IFF_POINTOPOINT, IFF_NOARP = 0x08, 0x10, 0x80
IFA_F_SECONDARY = 0x01
RTN_UNICAST, RTN_LOCAL = 1, 2
RTPROT_KERNEL = 2
ETHERNET = 1
"""ARPHRD_ETHER"""
MAIN_TABLE, LOCAL_TABLE = 254, 255

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
"""Address families by IP version."""

IFINFOMSG = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, change"""
RTMSG = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags"""
_IFADDRMSG = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefixlen, flags, scope, index

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 5, 10, 18
_IFLA_LINK_NETNSID, _IFLA_XDP = 37, 43
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_VRF_TABLE = 1
_IFLA_VLAN_ID, _IFLA_VLAN_PROTOCOL = 1, 5
_IFLA_XDP_ATTACHED, _IFLA_XDP_PROG_ID = 2, 4
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_METRICS = 1, 2, 3, 4, 5, 7, 8
_RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA = 9, 15, 18
_RTAX_MTU = 2


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface.

    type: ARPHRD_*. flags: IFF_*. mac: the link-layer address, 6 bytes with Ethernet. mtu: bytes of IP packet. master:
    the index of the bond, team, bridge or VRF that it belongs to, 0 if to none. kind: the kernel's name of a virtual
    interface's kind ("vlan", "dummy"), or "". lower: the index of the interface below, 0 if there is none.
    is_lower_elsewhere: the one below is in another network namespace.
    """

    index: int
    name: str
    type: int
    flags: int
    mac: bytes
    mtu: int
    master: int = 0
    kind: str = ""
    lower: int = 0
    is_lower_elsewhere: bool = False
    vrf_table: int = 0
    vlan: tuple[int, int] | None = None
    """EtherType and VLAN identifier."""
    xdp_program: int = 0
    xdp_attached: int = 0
    """XDP_ATTACHED_*"""


@dataclass(frozen=True, slots=True)
class AddressEntry:
    """An address of an interface. far: the other end of a point-to-point link, or the address itself.

    flags: IFA_F_*, of which only the lower eight are read. broadcast: of the address's network, IPv4 only.
    """

    index: int
    address: Address
    far: Address
    prefixlen: int
    flags: int
    broadcast: IPv4Address | None


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """A route, or what the kernel chose for one packet.

    type: RTN_*. protocol: RTPROT_*. interface: the index of the outgoing interface, 0 if it has several next hops or
    none. router: the next hop's address, of either IP version (RFC 8950). source: what the host sends from by this
    route (prefsrc). mtu: bytes of IP packet, as the route or the path limits it.
    """

    type: int
    protocol: int
    network: Network
    interface: int
    router: Address | None
    source: Address | None
    mtu: int | None
    has_routers: bool
    """It names a router, or several next hops."""


def links(netlink: Rtnetlink) -> dict[int, Link]:
    """All of this network namespace, by index. Raises OSError."""
    answers = netlink.dump(Message.GETLINK, IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    return {found.index: found for found in map(read_link, answers)}


def link(netlink: Rtnetlink, index: int) -> Link:
    """Raises OSError if there is no such interface."""
    return read_link(netlink.request(Message.GETLINK, IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, 0, 0)))


def addresses(netlink: Rtnetlink) -> list[AddressEntry]:
    """All interfaces. Raises OSError."""
    answers = netlink.dump(Message.GETADDR, _IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    return [_read_address(answer) for answer in answers]


def routes(netlink: Rtnetlink, version: int, table: int = 0) -> Iterator[RouteEntry]:
    """The routes of one IP version, of all tables or of one.

    They must be read to their end before the next request. With a table, the socket must have been opened with
    `strict`. Raises OSError.
    """
    head = RTMSG.pack(FAMILIES[version], 0, 0, 0, 0, 0, 0, 0, 0)
    chosen = attribute(_RTA_TABLE, struct.pack("=I", table)) if table else b""
    return map(_read_route, netlink.dump(Message.GETROUTE, head + chosen))


def route_to(netlink: Rtnetlink, destination: Address, source: Address | None = None, incoming: int = 0) -> RouteEntry:
    """What the kernel does with a packet that this host sends, or receives on an interface.

    incoming: that interface's index. Raises OSError with the kernel's reason: ENETUNREACH, EHOSTUNREACH, EACCES,
    EINVAL, and EXDEV where the reverse-path filter drops the packet.
    """
    source_length = source.max_prefixlen if source else 0
    head = RTMSG.pack(FAMILIES[destination.version], destination.max_prefixlen, source_length, 0, 0, 0, 0, 0, 0)
    body = attribute(_RTA_DST, destination.packed)
    if source:
        body += attribute(_RTA_SRC, source.packed)
    if incoming:
        body += attribute(_RTA_IIF, struct.pack("=I", incoming))
    return _read_route(netlink.request(Message.GETROUTE, head + body))


def read_link(message: bytes) -> Link:
    """message: a struct ifinfomsg and its attributes."""
    _, kind, index, flags, _ = IFINFOMSG.unpack_from(message)
    found = attributes(message, IFINFOMSG.size)
    info = attributes(found.get(_IFLA_LINKINFO, b""), 0)
    data = attributes(info.get(_IFLA_INFO_DATA, b""), 0)
    xdp = attributes(found.get(_IFLA_XDP, b""), 0)
    name = text(info.get(_IFLA_INFO_KIND, b""))
    return Link(
        index=index,
        name=text(found[_IFLA_IFNAME]),
        type=kind,
        flags=flags,
        mac=found.get(_IFLA_ADDRESS, b""),
        mtu=_number(found, _IFLA_MTU),
        master=_number(found, _IFLA_MASTER),
        kind=name,
        lower=_number(found, _IFLA_LINK),
        is_lower_elsewhere=_IFLA_LINK_NETNSID in found,
        vrf_table=_number(data, _IFLA_VRF_TABLE) if name == "vrf" else 0,
        vlan=_vlan(data) if name == "vlan" else None,
        xdp_program=_number(xdp, _IFLA_XDP_PROG_ID),
        xdp_attached=_number(xdp, _IFLA_XDP_ATTACHED),
    )


def text(value: bytes) -> str:
    """A string attribute, as the system's file names are read."""
    return os.fsdecode(value.rstrip(b"\0"))


def _vlan(data: Attributes) -> tuple[int, int]:
    return int.from_bytes(data[_IFLA_VLAN_PROTOCOL], "big"), number(data[_IFLA_VLAN_ID])


def _read_address(message: bytes) -> AddressEntry:
    _, prefixlen, flags, _, index = _IFADDRMSG.unpack_from(message)
    found = attributes(message, _IFADDRMSG.size)
    far = found.get(_IFA_ADDRESS) or found[_IFA_LOCAL]
    broadcast = found.get(_IFA_BROADCAST)
    return AddressEntry(
        index=index,
        address=ip_address(found.get(_IFA_LOCAL) or far),
        far=ip_address(far),
        prefixlen=prefixlen,
        flags=flags,
        broadcast=IPv4Address(broadcast) if broadcast else None,
    )


def _read_route(message: bytes) -> RouteEntry:
    family, length, _, _, _, protocol, _, kind, _ = RTMSG.unpack_from(message)
    found = attributes(message, RTMSG.size)
    any_address = bytes(4 if family == socket.AF_INET else 16)
    via = found.get(_RTA_VIA)
    router = via[2:] if via else found.get(_RTA_GATEWAY)
    source = found.get(_RTA_PREFSRC)
    mtu = attributes(found.get(_RTA_METRICS, b""), 0).get(_RTAX_MTU)
    return RouteEntry(
        type=kind,
        protocol=protocol,
        network=ip_network((found.get(_RTA_DST, any_address), length)),
        interface=_number(found, _RTA_OIF),
        router=ip_address(router) if router else None,
        source=ip_address(source) if source else None,
        mtu=number(mtu) if mtu else None,
        has_routers=router is not None or _RTA_MULTIPATH in found,
    )


def _number(found: Mapping[int, bytes], kind: int) -> int:
    return number(found[kind]) if kind in found else 0
