# SPDX-License-Identifier: MIT
"""The path of this host's answers to clients: the route from a VIP, and whether its next hop answers."""

import errno
import time
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from glb.network.messages import (
    IFF_LOOPBACK,
    IFF_NOARP,
    IFF_POINTOPOINT,
    RTN_UNICAST,
    Address,
    link,
    route_to,
    routes,
)
from glb.network.neighbours import known, use
from glb.network.routes import NextHop
from glb.network.rtnetlink import Rtnetlink

CLIENTS: dict[int, tuple[Address, Address]] = {
    4: (IPv4Address("4.0.0.1"), IPv4Address("200.0.0.1")),
    6: (IPv6Address("2600::1"), IPv6Address("2a00::1")),
}
"""Examples of clients, one in each half of the Internet. Routes to them are looked up; no packet is sent to them."""

_POLL_SECONDS = 0.02


class Break(StrEnum):
    """Why answers cannot be sent."""

    NO_ROUTE = "no route"
    REFUSED = "a route that rejects them (unreachable, prohibit, blackhole)"
    NO_NEIGHBOUR = "the next hop does not answer ARP or neighbour discovery"


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """The path of answers from a VIP to a client. interface, next_hop and mtu (bytes of IP packet) are None if there is
    no route. has_router: whether any route of the family has a router."""

    vip: Address
    client: Address
    broken: Break | None
    interface: str | None = None
    next_hop: Address | None = None
    mtu: int | None = None
    has_router: bool = True

    @property
    def is_lost(self) -> bool:
        """Whether clients certainly receive no answer. Without a default route, but with other routes, a VIP that is
        not a global address may work: its clients may be in those networks."""
        may_be_right = self.broken is Break.NO_ROUTE and self.has_router and not self.vip.is_global
        return self.broken is not None and not may_be_right

    def describe(self) -> str:
        """The fault of the path, or its interface."""
        if self.broken is Break.NO_NEIGHBOUR:
            return f"{self.next_hop} on {self.interface} does not answer ARP or neighbour discovery"
        if self.broken is not None:
            return f"{self.broken} to clients such as {self.client}"
        return f"by {self.interface}"


def return_path(netlink: Rtnetlink, vip: Address, client: Address, wait: float = 0) -> ReturnPath:
    """The path that the kernel chooses. wait: seconds in which a next hop may answer that the kernel does not know.

    Without a wait nothing is sent. A next hop that the kernel has not tried to resolve yet is no break.
    """
    try:
        route = route_to(netlink, client, vip)
    except OSError as error:
        broken = Break.NO_ROUTE if error.errno == errno.ENETUNREACH else Break.REFUSED
        return ReturnPath(vip, client, broken, has_router=_has_router(netlink, vip.version))
    if route.type != RTN_UNICAST:
        return ReturnPath(vip, client, Break.REFUSED, has_router=_has_router(netlink, vip.version))
    out = link(netlink, route.interface)
    next_hop = route.router or client
    answers = bool(out.flags & (IFF_NOARP | IFF_POINTOPOINT | IFF_LOOPBACK)) or _answers(
        netlink, NextHop(out.index, next_hop), wait
    )
    return ReturnPath(vip, client, None if answers else Break.NO_NEIGHBOUR, out.name, next_hop, route.mtu or out.mtu)


def _has_router(netlink: Rtnetlink, version: int) -> bool:
    return sum(route.has_routers for route in routes(netlink, version)) > 0  # read to their end


def _answers(netlink: Rtnetlink, next_hop: NextHop, wait: float) -> bool:
    """Whether the kernel knows the neighbour's address, or without a wait has not tried to resolve it."""
    deadline = time.monotonic() + wait
    entry = known(netlink).get(next_hop)
    if not wait:
        return entry is None or entry.is_usable
    use(netlink, next_hop, entry)
    while not ((entry := known(netlink).get(next_hop)) and entry.is_usable):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
