# SPDX-License-Identifier: MIT
"""The key `routing` of a director's configuration, as immutable values."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path


class SpeakerKind(StrEnum):
    """The BGP speaker that a director controls. none: the operator manages the routes."""

    BIRD = "bird"
    EXABGP = "exabgp"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class BgpPeer:
    """A router that the VIPs are announced to.

    `multihop` is the maximum number of hops to it; None: it is a neighbour. `local_address` is the local address of the
    session; None: the system chooses it. A session carries the prefixes of its address family, and those of the other
    family if a next hop of that family is given.
    """

    address: IPv4Address | IPv6Address
    asn: int
    password: str | None = None
    bfd: bool = False
    multihop: int | None = None
    local_address: IPv4Address | IPv6Address | None = None
    next_hop_ipv4: IPv4Address | None = None
    next_hop_ipv6: IPv6Address | None = None

    def next_hop(self, family: int) -> IPv4Address | IPv6Address | None:
        """The next hop to announce for prefixes of IP version 4 or 6; None: the session's local address."""
        return self.next_hop_ipv4 if family == 4 else self.next_hop_ipv6

    def carries(self, family: int) -> bool:
        """Whether prefixes of IP version 4 or 6 are announced to this peer."""
        return self.address.version == family or self.next_hop(family) is not None


@dataclass(frozen=True, slots=True)
class Routing:
    """The prefixes to announce, the speaker, and its peers.

    `prefixes` None: the networks of the binds. `hold_time` and `drain_timeout` are in seconds. `control` is the control
    socket of the operator's BIRD, if that is used; its sessions are then the operator's as well.
    """

    speaker: SpeakerKind
    router_id: IPv4Address
    local_as: int = 0
    peers: tuple[BgpPeer, ...] = ()
    communities: tuple[str, ...] = ()
    prefixes: tuple[IPv4Network | IPv6Network, ...] | None = None
    hold_time: int = 9
    bfd_interval_ms: int = 300
    bfd_multiplier: int = 3
    drain_timeout: int = 30
    control: Path | None = None
