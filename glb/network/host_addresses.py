# SPDX-License-Identifier: MIT
"""All addresses of this network namespace, and which of them the host uses to talk to others."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from glb.network.messages import (
    IFA_F_SECONDARY,
    IFF_LOOPBACK,
    RTN_UNICAST,
    Address,
    AddressEntry,
    Link,
    addresses,
    links,
    route_to,
)
from glb.network.rtnetlink import Rtnetlink, open_rtnetlink

_ELSEWHERE = (IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1"))
"""Addresses for documentation (RFC 5737, RFC 3849): only the default route leads there, and no packet is sent."""


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An address. is_own: whether the host itself talks to others by it.

    Others are there for what is sent to them alone, as a VIP is: they are on a loopback or dummy interface, have the
    length /32 or /128, or are secondary, and no route prefers them as the source. broadcast: of the network that it is
    in, None for IPv6 and where there is none.
    """

    address: Address
    interface: str
    is_own: bool
    broadcast: IPv4Address | None


def host_addresses() -> list[HostAddress]:
    """Raises NetworkError."""
    with open_rtnetlink() as netlink:
        known = links(netlink)
        preferred = frozenset(_preferred_sources(netlink))
        entries = addresses(netlink)
    return [_address(entry, known.get(entry.index), preferred) for entry in entries]


def _address(entry: AddressEntry, link: Link | None, preferred: frozenset[Address]) -> HostAddress:
    return HostAddress(
        address=entry.address,
        interface=link.name if link else str(entry.index),
        is_own=link is not None and not _is_loopback(link) and (entry.address in preferred or _is_used(entry)),
        broadcast=entry.broadcast,
    )


def _is_used(entry: AddressEntry) -> bool:
    """Whether the kernel takes the address for a source by itself: that of a network, or of a point-to-point link. Of
    IPv6, the flag of secondary addresses marks a temporary one, which the kernel prefers even (RFC 8981)."""
    is_secondary = entry.address.version == 4 and bool(entry.flags & IFA_F_SECONDARY)
    has_network = entry.prefixlen < entry.address.max_prefixlen
    has_peer = entry.address != entry.far
    return (has_network or has_peer) and not is_secondary and not entry.address.is_link_local


def _is_loopback(link: Link) -> bool:
    return bool(link.flags & IFF_LOOPBACK) or link.kind == "dummy"


def _preferred_sources(netlink: Rtnetlink) -> Iterator[Address]:
    """The sources of packets to the rest of the world."""
    for elsewhere in _ELSEWHERE:
        with suppress(OSError):  # there may be no default route
            route = route_to(netlink, elsewhere)
            if route.type == RTN_UNICAST and route.source:
                yield route.source
