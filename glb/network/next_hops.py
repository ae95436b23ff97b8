# SPDX-License-Identifier: MIT
"""The next hop of hosts: its MAC address, from the kernel's routes and neighbours. The kernel does the ARP."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from glb.network.interface import Interface
from glb.network.links import Links
from glb.network.messages import ETHERNET
from glb.network.neighbours import Neighbours, known, use
from glb.network.refusal import PathRefusal, RefusalCause
from glb.network.routes import HostRoute, NextHop, Routes, default_next_hops
from glb.network.rtnetlink import Rtnetlink, open_rtnetlink

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths to hosts: for each host either the MAC (6 bytes) of its next hop, or the reason why there is none.
    mtus: bytes of IP packet that a path is limited to, where it is less than the interface's MTU."""

    macs: Mapping[IPv4Address, bytes] = field(default_factory=dict)
    refusals: Mapping[IPv4Address, PathRefusal] = field(default_factory=dict)
    mtus: Mapping[IPv4Address, int] = field(default_factory=dict)


def resolve(
    interface: Interface,
    hosts: Iterable[IPv4Address],
    wait: float = 0,
    source: IPv4Address | None = None,
    any_interface: bool = False,
) -> Paths:
    """The paths to hosts by this interface, or with any_interface by that of each route.

    source: the packets' source address, for routing rules. wait: the seconds to wait for unresolved next hops; the
    kernel continues to resolve them afterwards. Raises NetworkError.
    """
    deadline = time.monotonic() + wait
    with open_rtnetlink() as netlink:
        survey = _Survey(netlink, interface, source, any_interface)
        survey.look_up(hosts)
        while not survey.is_complete() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            survey.read_neighbours()
        return survey.paths()


def resolve_gateway(interface: Interface, wait: float = 0) -> bytes | None:
    """The MAC address of the router that the default route by this interface names; None if there is no such route, or
    no answer within `wait` seconds. Raises NetworkError."""
    deadline = time.monotonic() + wait
    with open_rtnetlink() as netlink:
        next_hops = [
            next_hop for next_hop in default_next_hops(netlink, interface) if next_hop.ifindex == interface.ip_index
        ]
        entries = _in_use(netlink, next_hops)
        while next_hops and not _usable(next_hops, entries) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            entries = known(netlink)
        next_hop = _usable(next_hops, entries)
        return entries[next_hop].mac if next_hop else None


class _Survey:
    """One query of the paths to some hosts."""

    def __init__(
        self, netlink: Rtnetlink, interface: Interface, source: IPv4Address | None, any_interface: bool
    ) -> None:
        self._netlink = netlink
        self._interface = interface
        self._any_interface = any_interface
        self._routes = Routes(netlink, interface, source)
        self._links = Links(netlink)
        self._found: dict[IPv4Address, HostRoute | PathRefusal] = {}
        self._next_hops: dict[IPv4Address, tuple[NextHop, ...]] = {}
        self._entries: Neighbours = {}

    def look_up(self, hosts: Iterable[IPv4Address]) -> None:
        """If the kernel's choice cannot be used, the route's other next hops are candidates too."""
        for host in hosts:
            found = self._found[host] = self._routes.find(host)
            self._next_hops[host] = tuple(self._serving((found.next_hop,))) if isinstance(found, HostRoute) else ()
        self._entries = _in_use(self._netlink, self._candidates())
        if more := self._alternatives():
            self._next_hops |= more
            self._entries = _in_use(self._netlink, self._candidates())

    def read_neighbours(self) -> None:
        self._entries = known(self._netlink)

    def is_complete(self) -> bool:
        return all(_usable(next_hops, self._entries) for next_hops in self._next_hops.values() if next_hops)

    def paths(self) -> Paths:
        macs, refusals, mtus = {}, {}, {}
        for host, found in self._found.items():
            next_hop = _usable(self._next_hops[host], self._entries)
            if isinstance(found, PathRefusal):
                refusals[host] = found
                continue
            if next_hop is None:
                refusals[host] = self._why_not(found, self._next_hops[host])
            else:
                macs[host] = self._entries[next_hop].mac
            if mtu := self._mtu(found, next_hop):
                mtus[host] = mtu
        return Paths(macs, refusals, mtus)

    def _alternatives(self) -> dict[IPv4Address, tuple[NextHop, ...]]:
        """All next hops of the routes that have several, if the kernel's choice cannot be used."""
        more = {}
        for host, next_hops in self._next_hops.items():
            if isinstance(self._found[host], HostRoute) and not _usable(next_hops, self._entries):
                all_next_hops = tuple(dict.fromkeys((*next_hops, *self._serving(self._routes.next_hops(host)))))
                if all_next_hops != next_hops:
                    more[host] = all_next_hops
        return more

    def _candidates(self) -> list[NextHop]:
        return [next_hop for next_hops in self._next_hops.values() for next_hop in next_hops]

    def _serving(self, next_hops: Iterable[NextHop]) -> Iterator[NextHop]:
        return (next_hop for next_hop in next_hops if self._is_served(next_hop))

    def _is_served(self, next_hop: NextHop) -> bool:
        here = next_hop.ifindex == self._interface.ip_index
        return here or (self._any_interface and self._links[next_hop.ifindex].type == ETHERNET)

    def _why_not(self, route: HostRoute, next_hops: tuple[NextHop, ...]) -> PathRefusal:
        name = self._links[next_hops[0].ifindex if next_hops else route.next_hop.ifindex].name
        if next_hops:
            return PathRefusal(RefusalCause.NO_NEIGHBOUR, f"{next_hops[0].neighbour} on {name}")
        if self._any_interface:
            return PathRefusal(RefusalCause.NO_MAC, f"{name} is no Ethernet interface")
        return PathRefusal(RefusalCause.OTHER_INTERFACE, name)

    def _mtu(self, route: HostRoute, next_hop: NextHop | None) -> int | None:
        """The smallest MTU of route and interface, if it is below this interface's."""
        limits = [route.mtu or self._interface.mtu]
        if next_hop is not None and next_hop.ifindex != self._interface.ip_index:
            limits.append(self._links[next_hop.ifindex].mtu)
        return min(limits) if min(limits) < self._interface.mtu else None


def _in_use(netlink: Rtnetlink, next_hops: Iterable[NextHop]) -> Neighbours:
    """The neighbours; the kernel resolves or confirms the next hops that need it."""
    entries = known(netlink)
    for next_hop in dict.fromkeys(next_hops):
        use(netlink, next_hop, entries.get(next_hop))
    return entries


def _usable(next_hops: Iterable[NextHop], entries: Neighbours) -> NextHop | None:
    """The first that is resolved."""
    return next((next_hop for next_hop in next_hops if next_hop in entries and entries[next_hop].is_usable), None)
