# SPDX-License-Identifier: MIT
"""All addresses of this network namespace, and which of them the host uses to talk to others."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from glb.network.netlink import open_netlink

_IFF_LOOPBACK = 0x8
_IFA_F_SECONDARY = 0x1
_RTN_UNICAST = 1
_ELSEWHERE = ("192.0.2.1", "2001:db8::1")
"""Addresses for documentation (RFC 5737, RFC 3849): only the default route leads there, and no packet is sent."""


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An address. is_own: whether the host itself talks to others by it.

    Others are there for what is sent to them alone, as a VIP is: they are on a loopback or dummy interface, have the
    length /32 or /128, or are secondary, and no route prefers them as the source. broadcast: of the network that it is
    in, None for IPv6 and where there is none.
    """

    address: IPv4Address | IPv6Address
    interface: str
    is_own: bool
    broadcast: IPv4Address | None


def host_addresses() -> list[HostAddress]:
    """Raises NetworkError."""
    with open_netlink() as netlink:
        links = {link["index"]: link for link in netlink.get_links()}
        preferred = _preferred_sources(netlink)
        entries = list(netlink.get_addr())
    return [_address(entry, links.get(entry["index"]), preferred) for entry in entries]


def _address(entry: Any, link: Any, preferred: frozenset[str]) -> HostAddress:
    text = entry.get("local") or entry.get("address")
    address = ip_address(text)
    broadcast = entry.get("broadcast")
    return HostAddress(
        address=address,
        interface=link.get("ifname") if link else str(entry["index"]),
        is_own=link is not None and not _is_loopback(link) and (text in preferred or _is_used(entry, address)),
        broadcast=IPv4Address(broadcast) if broadcast and address.version == 4 else None,
    )


def _is_used(entry: Any, address: IPv4Address | IPv6Address) -> bool:
    """Whether the kernel takes the address for a source by itself: that of a network, or of a point-to-point link. Of
    IPv6, the flag of secondary addresses marks a temporary one, which the kernel prefers even (RFC 8981)."""
    is_secondary = address.version == 4 and bool(entry["flags"] & _IFA_F_SECONDARY)
    has_network = entry["prefixlen"] < address.max_prefixlen
    has_peer = entry.get("local") not in (None, entry.get("address"))
    return (has_network or has_peer) and not is_secondary and not address.is_link_local


def _is_loopback(link: Any) -> bool:
    return bool(link["flags"] & _IFF_LOOPBACK) or link.get_nested("linkinfo", "kind") == "dummy"


def _preferred_sources(netlink: IPRoute) -> frozenset[str]:
    """The sources of packets to the rest of the world."""
    return frozenset(_preferred(netlink))


def _preferred(netlink: IPRoute) -> Iterator[str]:
    for elsewhere in _ELSEWHERE:
        with suppress(NetlinkError):  # there may be no default route
            for route in netlink.route("get", dst=elsewhere):
                if route["type"] == _RTN_UNICAST and route.get("prefsrc"):
                    yield route.get("prefsrc")
