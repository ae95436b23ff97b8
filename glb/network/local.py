# SPDX-License-Identifier: MIT
"""What is local to a host: its addresses, the prefixes that its routes make local (AnyIP), and the addresses that it
sends from."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from glb.network.messages import (
    FAMILIES,
    IFF_LOOPBACK,
    LOCAL_TABLE,
    RTN_LOCAL,
    RTN_UNICAST,
    RTPROT_KERNEL,
    Address,
    Link,
    Network,
    addresses,
    links,
    routes,
)
from glb.network.rtnetlink import Rtnetlink, open_rtnetlink

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
    prefixes: frozenset[Network] = frozenset()
    sending: frozenset[Address] = frozenset()


class LocalReader:
    """Reads what is local to the network namespace that it is called in.

    It goes through all routes, of which a host may have many, only every few seconds: a new prefsrc is noticed that
    much later.
    """

    def __init__(self) -> None:
        self._sending: frozenset[Address] = frozenset()
        self._next_sending = 0.0

    def read(self) -> Local:
        """Raises NetworkError."""
        with open_rtnetlink(strict=True) as netlink:  # the kernel picks the table out
            if time.monotonic() >= self._next_sending:
                self._sending = frozenset(_sending(netlink))
                self._next_sending = time.monotonic() + _SENDING_SECONDS
            return Local(frozenset(_addresses(netlink)), frozenset(_prefixes(netlink)), self._sending)


def _addresses(netlink: Rtnetlink) -> Iterator[LocalAddress]:
    known = links(netlink)
    for entry in addresses(netlink):
        kind = _kind(known[entry.index]) if entry.index in known else ""
        interface = ip_interface((entry.address.packed, entry.prefixlen))
        yield LocalAddress(interface, entry.index, kind, entry.address != entry.far)


def _kind(link: Link) -> str:
    return "loopback" if link.flags & IFF_LOOPBACK else link.kind


def _prefixes(netlink: Rtnetlink) -> Iterator[Network]:
    for version in FAMILIES:
        for route in routes(netlink, version, LOCAL_TABLE):
            if route.type == RTN_LOCAL and route.protocol != RTPROT_KERNEL and route.network.prefixlen:
                yield route.network


def _sending(netlink: Rtnetlink) -> Iterator[Address]:
    for version in FAMILIES:
        for route in routes(netlink, version):
            if route.type == RTN_UNICAST and route.source:
                yield route.source
