# SPDX-License-Identifier: MIT
"""The host that a director runs on, as values: files are checked against it."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from glb.config.model import Address


@dataclass(frozen=True, slots=True)
class HostLink:
    """A network interface: its MAC address (6 bytes; empty where it has none), its MTU in bytes of IP packet."""

    mac: bytes
    mtu: int


@dataclass(frozen=True, slots=True)
class Host:
    """A host's addresses and interfaces.

    addresses: all of them, each with its interface. own: those that the host uses for its own traffic, which does not
    include addresses on lo or a dummy interface, /32, /128 and secondary addresses: these may be VIPs.
    broadcasts: the broadcast addresses of connected IPv4 networks, each with its interface.
    links: the interfaces on which the director receives packets.
    """

    addresses: Mapping[Address, str]
    own: Mapping[Address, str]
    broadcasts: Mapping[IPv4Address, str]
    links: Mapping[str, HostLink]
