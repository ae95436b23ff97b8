# SPDX-License-Identifier: MIT
"""Routes, each function acting inside one namespace."""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import rt_scope, rt_type

from glb.lab.hosts import IPAddress
from glb.network.namespaces import within

IPNetwork = IPv4Network | IPv6Network

EVERYWHERE4 = IPv4Network("0.0.0.0/0")
EVERYWHERE6 = IPv6Network("::/0")

_LOCAL_TABLE = 255
_NO_SUCH_ROUTE = 3


def add_local(namespace: str, network: IPNetwork) -> None:
    """Make a network local to the namespace, so that each address of it can be bound and answers."""

    def add() -> None:
        with IPRoute() as ip:
            ip.route(
                "add",
                dst=str(network),
                oif=ip.link_lookup(ifname="lo")[0],
                type=rt_type["local"],
                scope=rt_scope["host"],
                table=_LOCAL_TABLE,
            )

    within(namespace, add)


def add(namespace: str, network: IPNetwork, gateway: IPAddress) -> None:
    def add_one() -> None:
        with IPRoute() as ip:
            ip.route("add", dst=str(network), gateway=str(gateway))

    within(namespace, add_one)


def gateways(namespace: str, network: IPNetwork) -> set[IPAddress]:
    """The gateways of the routes to exactly this network."""

    def look() -> set[IPAddress]:
        with IPRoute() as ip:
            family = socket.AF_INET if network.version == 4 else socket.AF_INET6
            there = [route for route in ip.route("dump", family=family) if _leads_to(route, network)]
            hops = [hop for route in there for hop in route.get("multipath") or [route]]
            return {ip_address(gateway) for hop in hops if (gateway := hop.get("gateway"))}

    return within(namespace, look)


def set_multipath(namespace: str, network: IPNetwork, gateways: Sequence[IPAddress]) -> None:
    """Replace the route to a network by one over these gateways; without gateways, remove it."""

    def replace() -> None:
        with IPRoute() as ip:
            hops = [{"gateway": str(gateway), "hops": 0} for gateway in gateways]
            ip.route("replace", dst=str(network), multipath=hops)

    def delete() -> None:
        with IPRoute() as ip:
            try:
                ip.route("del", dst=str(network))
            except NetlinkError as error:
                if error.code != _NO_SUCH_ROUTE:
                    raise

    within(namespace, replace if gateways else delete)


def _leads_to(route: Any, network: IPNetwork) -> bool:
    return (route.get("dst"), route["dst_len"]) == (str(network.network_address), network.prefixlen)
