# SPDX-License-Identifier: MIT
"""What this host's IP stack does with a received packet, by the kernel's own lookup."""

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from glb.network.messages import (
    FAMILIES,
    IFF_LOOPBACK,
    IFF_NOARP,
    IFF_POINTOPOINT,
    RTN_LOCAL,
    Address,
    Network,
    links,
    route_to,
    routes,
)
from glb.network.rtnetlink import Rtnetlink


class PacketFate(StrEnum):
    """What the stack does with a packet.

    refused: the kernel drops it for its source address (reverse-path filter, or a martian source).
    """

    LOCAL = "delivered locally"
    FORWARDED = "forwarded"
    REFUSED = "dropped for its source address"
    NO_ROUTE = "dropped: no route to it"


@dataclass(frozen=True, slots=True)
class LocalNetwork:
    """An address, or a network (AnyIP), that is local to this host, and the interface that has it."""

    network: Network
    interface: str
    is_quiet: bool
    """The interface answers no ARP: loopback, dummy, tunl0, sit0."""


def local_networks(netlink: Rtnetlink) -> list[LocalNetwork]:
    """The routes of type local, without those of 127.0.0.0/8, ::1 and link-local addresses."""
    known = links(netlink)
    return [
        LocalNetwork(route.network, known[route.interface].name, _is_quiet(known[route.interface].flags))
        for version in FAMILIES
        for route in routes(netlink, version)
        if route.type == RTN_LOCAL and route.interface in known and not _is_of_every_host(route.network)
    ]


def overlapping(network: Network, others: Iterable[Network]) -> list[Network]:
    """The others that share an address with the network."""
    return [other for other in others if other.version == network.version and network.overlaps(other)]


def fate(netlink: Rtnetlink, destination: Address, source: Address, interface: int) -> PacketFate:
    """What the stack does with a packet received on the interface with this index.

    The kernel applies its routes, rules and reverse-path filter (RTM_GETROUTE with an input interface); no packet is
    made. Netfilter and sysctl disable_ipv6 are not considered.
    """
    try:
        route = route_to(netlink, destination, source, incoming=interface)
    except OSError as error:
        return PacketFate.REFUSED if error.errno in (errno.EINVAL, errno.EXDEV) else PacketFate.NO_ROUTE
    return PacketFate.LOCAL if route.type == RTN_LOCAL else PacketFate.FORWARDED


def _is_of_every_host(network: Network) -> bool:
    return network.is_loopback or network.is_link_local


def _is_quiet(flags: int) -> bool:
    return bool(flags & (IFF_LOOPBACK | IFF_NOARP)) and not flags & IFF_POINTOPOINT
