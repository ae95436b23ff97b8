# SPDX-License-Identifier: MIT
"""Blocks of addresses that can be neither a VIP nor a proxy. Pure.

Source: IANA's registries of special-purpose addresses (RFC 6890) and what they refer to.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from glb.config.model import Address, Network


@dataclass(frozen=True, slots=True)
class AddressBlock:
    """A block of addresses. kind: what its addresses are. why: why packets to it are not forwarded."""

    network: Network
    kind: str
    why: str


def _ends(network: Network | Address) -> tuple[int, int]:
    """The first and the last address, as numbers."""
    if isinstance(network, IPv4Address | IPv6Address):
        return int(network), int(network)
    return int(network.network_address), int(network.broadcast_address)


def _block(network: str, kind: str, why: str) -> AddressBlock:
    return AddressBlock(ip_network(network), kind, why)


_BLOCKS = (
    _block("255.255.255.255/32", "the broadcast address", "it addresses every host of a link (RFC 919)"),
    _block("0.0.0.0/8", 'an address of "this network"', "no packet may be sent to it (RFC 1122, 3.2.1.3)"),
    _block("127.0.0.0/8", "a loopback address", "no packet with it leaves a host (RFC 1122, 3.2.1.3)"),
    _block("169.254.0.0/16", "a link-local address", "no router forwards it (RFC 3927, 2.7)"),
    _block("224.0.0.0/4", "a multicast address", "it is a group, not a host (RFC 1112)"),
    _block("240.0.0.0/4", "a reserved address", "hosts and routers drop packets with it (RFC 1112, 4)"),
    _block("::/128", "the unspecified address", "no packet may be sent to it (RFC 4291, 2.5.2)"),
    _block("::1/128", "the loopback address", "no packet with it leaves a host (RFC 4291, 2.5.3)"),
    _block("::ffff:0:0/96", "an IPv4-mapped address", "packets to it are IPv4; use that address (RFC 4291, 2.5.5.2)"),
    _block("::/96", "an IPv4-compatible address", "it is deprecated (RFC 4291, 2.5.5.1)"),
    _block("100::/64", "a discard-only address", "routers drop packets to it (RFC 6666)"),
    _block("fe80::/10", "a link-local address", "no router forwards it (RFC 4291, 2.5.6)"),
    _block("ff00::/8", "a multicast address", "it is a group, not a host (RFC 4291, 2.7)"),
)  # the narrower block first, if one contains another


_RANGES = tuple((block.network.version, *_ends(block.network), block) for block in _BLOCKS)


def around(network: Network | Address) -> AddressBlock | None:
    """The block that contains an address, or a whole network; None if there is none."""
    version, (first, last) = network.version, _ends(network)
    return next((block for of, low, high, block in _RANGES if of == version and low <= first and last <= high), None)
