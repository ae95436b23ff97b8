# SPDX-License-Identifier: MIT
"""The MAC address on the way to a host, from the kernel's routes and neighbours. The kernel does the ARP."""

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

_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Paths:
    """What the kernel knows of the paths to hosts: for each host either the MAC (6 bytes) of its next hop, or why there
    is none. mtus: bytes of IP packet that a path is limited to, where it is less than the interface's MTU."""

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
    """The paths to hosts by this interface, or by whichever the routes name.

    source: where the packets come from, as far as rules select by it. wait: the seconds in which next hops that are not
    known yet may answer; the kernel goes on with their resolution afterwards. Raises NetworkError.
    """
    deadline = time.monotonic() + wait
    with open_rtnetlink() as netlink:
        survey = _Survey(netlink, interface, source, any_interface)
        survey.look_up(hosts)
        while not survey.is_complete() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            survey.read_neighbours()
        return survey.paths()


def resolve_gateway(interface: Interface, wait: float = 0) -> bytes | None:
    """The MAC address of the router that the default route by this interface names; None if there is no such route, or
    no answer within `wait` seconds. Raises NetworkError."""
    deadline = time.monotonic() + wait
    with open_rtnetlink() as netlink:
        legs = [leg for leg in default_next_hops(netlink, interface) if leg.ifindex == interface.ip_index]
        entries = _in_use(netlink, legs)
        while legs and not _usable(legs, entries) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            entries = known(netlink)
        leg = _usable(legs, entries)
        return entries[leg].mac if leg else None


class _Survey:
    """The state of one look at the paths to some hosts."""

    def __init__(
        self, netlink: Rtnetlink, interface: Interface, source: IPv4Address | None, any_interface: bool
    ) -> None:
        self._netlink = netlink
        self._interface = interface
        self._any_interface = any_interface
        self._routes = Routes(netlink, interface, source)
        self._links = Links(netlink)
        self._found: dict[IPv4Address, HostRoute | PathRefusal] = {}
        self._legs: dict[IPv4Address, tuple[NextHop, ...]] = {}
        self._entries: Neighbours = {}

    def look_up(self, hosts: Iterable[IPv4Address]) -> None:
        """Where the kernel's choice cannot be used, the route's other next hops are candidates too."""
        for host in hosts:
            found = self._found[host] = self._routes.find(host)
            self._legs[host] = tuple(self._serving((found.leg,))) if isinstance(found, HostRoute) else ()
        self._entries = _in_use(self._netlink, self._candidates())
        if more := self._alternatives():
            self._legs |= more
            self._entries = _in_use(self._netlink, self._candidates())

    def read_neighbours(self) -> None:
        self._entries = known(self._netlink)

    def is_complete(self) -> bool:
        return all(_usable(legs, self._entries) for legs in self._legs.values() if legs)

    def paths(self) -> Paths:
        macs, refusals, mtus = {}, {}, {}
        for host, found in self._found.items():
            leg = _usable(self._legs[host], self._entries)
            if isinstance(found, PathRefusal):
                refusals[host] = found
                continue
            if leg is None:
                refusals[host] = self._why_not(found, self._legs[host])
            else:
                macs[host] = self._entries[leg].mac
            if mtu := self._mtu(found, leg):
                mtus[host] = mtu
        return Paths(macs, refusals, mtus)

    def _alternatives(self) -> dict[IPv4Address, tuple[NextHop, ...]]:
        """All next hops of the routes that have several, where the kernel's choice cannot be used."""
        more = {}
        for host, legs in self._legs.items():
            if isinstance(self._found[host], HostRoute) and not _usable(legs, self._entries):
                all_legs = tuple(dict.fromkeys((*legs, *self._serving(self._routes.legs(host)))))
                if all_legs != legs:
                    more[host] = all_legs
        return more

    def _candidates(self) -> list[NextHop]:
        return [leg for legs in self._legs.values() for leg in legs]

    def _serving(self, legs: Iterable[NextHop]) -> Iterator[NextHop]:
        return (leg for leg in legs if self._is_served(leg))

    def _is_served(self, leg: NextHop) -> bool:
        here = leg.ifindex == self._interface.ip_index
        return here or (self._any_interface and self._links[leg.ifindex].type == ETHERNET)

    def _why_not(self, route: HostRoute, legs: tuple[NextHop, ...]) -> PathRefusal:
        name = self._links[legs[0].ifindex if legs else route.leg.ifindex].name
        if legs:
            return PathRefusal(RefusalCause.NO_NEIGHBOUR, f"{legs[0].neighbour} on {name}")
        if self._any_interface:
            return PathRefusal(RefusalCause.NO_MAC, f"{name} is no Ethernet interface")
        return PathRefusal(RefusalCause.OTHER_INTERFACE, name)

    def _mtu(self, route: HostRoute, leg: NextHop | None) -> int | None:
        """The least of those that limit the path below the interface's own."""
        limits = [route.mtu or self._interface.mtu]
        if leg is not None and leg.ifindex != self._interface.ip_index:
            limits.append(self._links[leg.ifindex].mtu)
        return min(limits) if min(limits) < self._interface.mtu else None


def _in_use(netlink: Rtnetlink, legs: Iterable[NextHop]) -> Neighbours:
    """The neighbours, each of the legs' being resolved or confirmed where that is needed."""
    entries = known(netlink)
    for leg in dict.fromkeys(legs):
        use(netlink, leg, entries.get(leg))
    return entries


def _usable(legs: Iterable[NextHop], entries: Neighbours) -> NextHop | None:
    """The first whose MAC is known."""
    return next((leg for leg in legs if leg in entries and entries[leg].is_usable), None)
