# SPDX-License-Identifier: MIT
"""What is local to a network namespace: its addresses, the prefixes that its routes make local (AnyIP), and the
addresses from which the host sends."""

import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface

from glb.network.messages import (
    FAMILIES,
    IFA_F_SECONDARY,
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
    route_to,
    routes,
)
from glb.network.rtnetlink import Rtnetlink, open_rtnetlink

_SENDING_SECONDS = 5.0

_ELSEWHERE = (IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1"))
"""Addresses for documentation (RFC 5737, RFC 3849): only the default route leads there, and no packet is sent."""


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """An address of an interface, with its prefix.

    index, name: the interface's. kind: "loopback", the kernel's name of a virtual interface's kind ("dummy", "ipip"),
    or "". has_peer: whether the prefix belongs to the other end of a point-to-point link. is_secondary: IPv4 only.
    broadcast: of the address's network, None for IPv6 and where there is none.
    """

    interface: IPv4Interface | IPv6Interface
    index: int
    kind: str
    has_peer: bool
    name: str = ""
    is_secondary: bool = False
    broadcast: IPv4Address | None = None

    @property
    def ip(self) -> Address:
        return self.interface.ip


@dataclass(frozen=True, slots=True)
class HostAddresses:
    """All addresses of a network namespace. own: those from which the host itself talks to others.

    The others are there for what is sent to them alone, as a VIP is: they are on a loopback or dummy interface, have
    the length /32 or /128, or are secondary, and no route prefers them as the source.
    """

    all: tuple[LocalAddress, ...]
    own: tuple[LocalAddress, ...]


def host_addresses() -> HostAddresses:
    """The addresses of this network namespace. Raises NetworkError."""
    with open_rtnetlink() as netlink:
        found = tuple(_addresses(netlink))
        preferred = frozenset(_preferred_sources(netlink))
    return HostAddresses(found, tuple(address for address in found if _is_own(address, preferred)))


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
        link = known.get(entry.index)
        yield LocalAddress(
            interface=ip_interface((entry.address.packed, entry.prefixlen)),
            index=entry.index,
            kind=_kind(link) if link else "",
            has_peer=entry.address != entry.far,
            name=link.name if link else str(entry.index),
            # Of IPv6, the flag marks a temporary address, which the kernel prefers as a source (RFC 8981).
            is_secondary=entry.address.version == 4 and bool(entry.flags & IFA_F_SECONDARY),
            broadcast=entry.broadcast,
        )


def _is_own(address: LocalAddress, preferred: Collection[Address]) -> bool:
    return address.kind not in ("loopback", "dummy") and (address.ip in preferred or _is_source(address))


def _is_source(address: LocalAddress) -> bool:
    """Whether the kernel selects the address as a source by itself: that of a network, or of a point-to-point link."""
    has_network = address.interface.network.prefixlen < address.interface.max_prefixlen
    return (has_network or address.has_peer) and not address.is_secondary and not address.ip.is_link_local


def _preferred_sources(netlink: Rtnetlink) -> Iterator[Address]:
    """The sources of packets to the rest of the world."""
    for elsewhere in _ELSEWHERE:
        with suppress(OSError):  # there may be no default route
            route = route_to(netlink, elsewhere)
            if route.type == RTN_UNICAST and route.source:
                yield route.source


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
