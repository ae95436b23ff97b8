# SPDX-License-Identifier: MIT
"""What files are judged against: the host that a director runs on, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from glb.config.model import Address


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface: its MAC address (6 bytes; empty where it has none), its MTU in bytes of IP packet."""

    mac: bytes
    mtu: int


@dataclass(frozen=True, slots=True)
class Host:
    """A host's addresses and interfaces.

    addresses: all of them, each with its interface. own: those of them that the host itself uses to talk to others.
    A VIP that only makes the host answer ARP or echoes is none: it is on lo or a dummy interface, or has the length /32
    or /128, or is secondary. broadcasts: the broadcast addresses of the IPv4 networks around, each with its interface.
    links: the interfaces that the director takes packets from.
    """

    addresses: Mapping[Address, str]
    own: Mapping[Address, str]
    broadcasts: Mapping[IPv4Address, str]
    links: Mapping[str, Link]
