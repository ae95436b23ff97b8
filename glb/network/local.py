# SPDX-License-Identifier: MIT
"""What is local to a host: its addresses, the prefixes that its routes make local (AnyIP), and the addresses that it
sends from."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from socket import AF_INET, AF_INET6
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from glb.errors import NetworkError

_LOCAL_TABLE = 255
_LOCAL_ROUTE, _UNICAST_ROUTE = 2, 1  # RTN_LOCAL, RTN_UNICAST
_BY_KERNEL = 2  # RTPROT_KERNEL: a route that belongs to an address
_IFF_LOOPBACK = 0x8
_SENDING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """An address of an interface, with its prefix.

    index: the interface's. kind: "loopback", the kernel's name of a virtual interface's kind ("dummy", "ipip"), or "".
    has_peer: whether the prefix belongs to the other end of a point-to-point link.
    """

    interface: IPv4Interface | IPv6Interface
    index: int
    kind: str
    has_peer: bool


@dataclass(frozen=True, slots=True)
class Local:
    """What is local to a network namespace. prefixes: of routes of type local that belong to no address. sending: the
    addresses that routes name as the source of what this host sends (prefsrc)."""

    addresses: frozenset[LocalAddress] = frozenset()
    prefixes: frozenset[IPv4Network | IPv6Network] = frozenset()
    sending: frozenset[IPv4Address | IPv6Address] = frozenset()


class LocalReader:
    """Reads what is local to the network namespace that it is called in.

    It goes through all routes, of which a host may have many, only every few seconds: a new prefsrc is noticed that
    much later.
    """

    def __init__(self) -> None:
        self._sending: frozenset[IPv4Address | IPv6Address] = frozenset()
        self._next_sending = 0.0

    def read(self) -> Local:
        """Raises NetworkError."""
        try:
            with IPRoute(strict_check=True) as netlink:  # the kernel picks the table out
                if time.monotonic() >= self._next_sending:
                    self._sending = frozenset(_sending(netlink))
                    self._next_sending = time.monotonic() + _SENDING_SECONDS
                return Local(frozenset(_addresses(netlink)), frozenset(_prefixes(netlink)), self._sending)
        except NetlinkError as error:
            raise NetworkError(f"netlink: {error.args[-1]}") from error


def _addresses(netlink: IPRoute) -> Iterator[LocalAddress]:
    kinds = {link["index"]: _kind(link) for link in netlink.get_links()}
    for entry in netlink.get_addr():
        own, far = entry.get("local") or entry.get("address"), entry.get("address")
        yield LocalAddress(
            ip_interface((own, entry["prefixlen"])), entry["index"], kinds.get(entry["index"], ""), own != far
        )


def _kind(link: Any) -> str:
    if link["flags"] & _IFF_LOOPBACK:
        return "loopback"
    return str(link.get_nested("linkinfo", "kind") or "")


def _prefixes(netlink: IPRoute) -> Iterator[IPv4Network | IPv6Network]:
    for route in _routes(netlink, table=_LOCAL_TABLE):
        if route["type"] == _LOCAL_ROUTE and route["proto"] != _BY_KERNEL and route.get("dst"):
            yield ip_network((route.get("dst"), route["dst_len"]))


def _sending(netlink: IPRoute) -> Iterator[IPv4Address | IPv6Address]:
    for route in _routes(netlink):
        if route["type"] == _UNICAST_ROUTE and route.get("prefsrc"):
            yield ip_address(route.get("prefsrc"))


def _routes(netlink: IPRoute, **chosen: int) -> Iterable[Any]:
    for family in (AF_INET, AF_INET6):
        yield from netlink.get_routes(family=family, **chosen)
