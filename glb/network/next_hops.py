"""The MAC address on the way to a host, from the kernel's routes and neighbours.

The kernel does the ARP. It is told to use a neighbour (NTF_USE), which makes it resolve one that it does not know, and
confirm one that it has not heard of for long; and it tells of each change.
"""

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from ipaddress import IPv4Address
from typing import Any

from pyroute2 import AsyncIPRoute, IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTMGRP_IPV4_ROUTE, RTMGRP_LINK, RTMGRP_NEIGH

from glb.network.interface import Interface
from glb.network.netlink import open_netlink
from glb.waiting import wait_for_any

_NTF_USE = 0x01
# NUD_*: reachable, stale, delay, probe, noarp, permanent. In the other states the address is not to be relied on.
_USABLE = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
_LOOK_SECONDS = 0.02
_QUIET_SECONDS = 0.05
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL}


def resolve(interface: Interface, hosts: Iterable[IPv4Address], wait: float = 0) -> dict[IPv4Address, bytes]:
    """The MAC address (6 bytes) on the way to each host by this interface.

    Hosts that no route leads to by this interface are left out, and so are those whose next hop has not answered after
    `wait` seconds; the kernel goes on asking for it.
    """
    deadline = time.monotonic() + wait
    with open_netlink() as netlink:
        gateways = {host: gateway for host in hosts if (gateway := _gateway(netlink, interface, host))}
        for gateway in set(gateways.values()):
            _use(netlink, interface, gateway)
        macs = _known(netlink, interface)
        while time.monotonic() < deadline and not macs.keys() >= set(gateways.values()):
            time.sleep(_LOOK_SECONDS)
            macs = _known(netlink, interface)
    return {host: macs[gateway] for host, gateway in gateways.items() if gateway in macs}


def with_route(interface: Interface, hosts: Iterable[IPv4Address]) -> set[IPv4Address]:
    """The hosts that a route leads to by this interface."""
    with IPRoute() as netlink:
        return {host for host in hosts if _gateway(netlink, interface, host)}


def resolve_gateway(interface: Interface, wait: float = 0) -> bytes | None:
    """The MAC address of the router that the default route by this interface names; None if there is no such route, or
    no answer within `wait` seconds."""
    with open_netlink() as netlink:
        routes = netlink.get_default_routes(family=socket.AF_INET)
        gateways = [IPv4Address(route.get("gateway")) for route in routes if _leads_by(route, interface)]
    found = resolve(interface, gateways[:1], wait)
    return next(iter(found.values()), None)


def _leads_by(route: Any, interface: Interface) -> bool:
    return route.get("oif") == interface.ip_index and bool(route.get("gateway"))


async def changes(stop: asyncio.Event, every: float) -> AsyncIterator[None]:
    """Yields when links, routes or neighbours have changed and been quiet for a moment, and each `every` seconds."""
    changed = asyncio.Event()
    async with AsyncIPRoute() as netlink:
        await netlink.bind(RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE)
        listener = asyncio.create_task(_set_on_message(netlink, changed))
        try:
            while not stop.is_set():
                await wait_for_any(changed, stop, seconds=every)
                changed.clear()
                await asyncio.sleep(_QUIET_SECONDS)
                if not stop.is_set():
                    yield
        finally:
            listener.cancel()


async def _set_on_message(netlink: AsyncIPRoute, changed: asyncio.Event) -> None:
    async for _ in netlink.get():
        changed.set()


def _gateway(netlink: IPRoute, interface: Interface, host: IPv4Address) -> IPv4Address | None:
    """Whom to hand a packet for the host: a router, or the host itself; None if it is not to be had here."""
    try:
        route = netlink.route("get", dst=str(host))[0]
    except NetlinkError as error:
        if error.code in _UNREACHABLE:
            return None
        raise
    if route.get("oif") != interface.ip_index:
        return None
    return IPv4Address(route.get("gateway") or host)


def _use(netlink: IPRoute, interface: Interface, neighbour: IPv4Address) -> None:
    netlink.neigh("replace", dst=str(neighbour), ifindex=interface.ip_index, flags=_NTF_USE, state="none")


def _known(netlink: IPRoute, interface: Interface) -> Mapping[IPv4Address, bytes]:
    return {
        IPv4Address(entry.get("dst")): bytes.fromhex(entry.get("lladdr").replace(":", ""))
        for entry in netlink.get_neighbours(family=socket.AF_INET, ifindex=interface.ip_index)
        if entry["state"] & _USABLE and entry.get("lladdr")
    }
