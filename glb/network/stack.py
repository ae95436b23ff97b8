# SPDX-License-Identifier: MIT
"""What this host's IP stack does with a packet that comes for an address, as the kernel itself looks it up."""

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from socket import AF_INET, AF_INET6

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LOCAL = 2  # RTN_LOCAL
_IFF_LOOPBACK, _IFF_POINTOPOINT, _IFF_NOARP = 0x08, 0x10, 0x80
_FAMILIES = {4: AF_INET, 6: AF_INET6}


class Fate(StrEnum):
    """What becomes of a packet.

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


def local_networks(netlink: IPRoute) -> Iterator[LocalNetwork]:
    """The routes of type local, without those of 127.0.0.0/8, ::1 and link-local addresses."""
    links = {link["index"]: (link.get("ifname"), link["flags"]) for link in netlink.get_links()}
    for version, family in _FAMILIES.items():
        for route in netlink.route("dump", family=family):
            if route["type"] != _LOCAL or route.get("oif") not in links:
                continue
            network = ip_network((route.get("dst") or ("0.0.0.0" if version == 4 else "::"), route["dst_len"]))
            if network.is_loopback or network.is_link_local:
                continue
            name, flags = links[route.get("oif")]
            yield LocalNetwork(network, name, _is_quiet(flags))


def overlapping(network: Network, others: Iterable[Network]) -> list[Network]:
    """Those of the others that share an address with the network."""
    return [other for other in others if other.version == network.version and network.overlaps(other)]


def fate(netlink: IPRoute, destination: Address, source: Address, interface: int) -> Fate:
    """What becomes of a packet that comes in by the interface with this index.

    The kernel applies its routes, rules and reverse-path filter (RTM_GETROUTE with an input interface); no packet is
    made. Not looked at: netfilter, and sysctl disable_ipv6.
    """
    try:
        route = netlink.route("get", dst=str(destination), src=str(source), iif=interface)[0]
    except NetlinkError as error:
        return Fate.REFUSED if error.code in (errno.EINVAL, errno.EXDEV) else Fate.NO_ROUTE
    return Fate.LOCAL if route["type"] == _LOCAL else Fate.FORWARDED


def _is_quiet(flags: int) -> bool:
    return bool(flags & (_IFF_LOOPBACK | _IFF_NOARP)) and not flags & _IFF_POINTOPOINT
