# SPDX-License-Identifier: MIT
"""The firewall marks and routing tables by which checks of a VIP, and nothing else, get into their TUN device.

A device numbered n has the mark and the table MARK + n, and one rule a family: whoever has the mark, looks there. Both
numbers spell "glb" and leave 256 devices room. This is the only place that knows them.
"""

import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from glb.config.model import Address

MARK = 0x676C6200
MAX_DEVICES = 256
_PRIORITY = 19523
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def mark(number: int) -> int:
    """The SO_MARK of sockets whose packets go into the device with this number."""
    return MARK + number


def lead_into(number: int, device: str) -> None:
    """Route what has the number's mark into the device of this name.

    Rules that a killed daemon has left for the number are taken over. Raises NetlinkError.
    """
    table = MARK + number
    with IPRoute() as netlink:
        index = socket.if_nametoindex(device)
        for family in _families(netlink):
            _remove_rules(netlink, family, number)
        for family in _families_of(device):
            default = "0.0.0.0/0" if family == socket.AF_INET else "::/0"
            netlink.route("replace", family=family, dst=default, oif=index, table=table)
            netlink.rule("add", family=family, fwmark=mark(number), table=table, priority=_PRIORITY)


def leads_into(number: int, device: str, vips: Iterable[Address]) -> bool:
    """Whether packets to these VIPs that have the mark still go into the device of this name: other programs remove
    rules that they do not know.

    The VIPs themselves are looked up: any other address may have routes or rules of its own on this host.
    """
    with IPRoute() as netlink:
        index = next(iter(netlink.link_lookup(ifname=device)), None)
        return index is not None and all(_egress(netlink, vip, number) == index for vip in vips)


def lead_away(number: int) -> None:
    """Remove the rules; the routes go with the device."""
    with IPRoute() as netlink:
        for family in _families(netlink):
            _remove_rules(netlink, family, number)


def _families(netlink: IPRoute) -> Iterator[socket.AddressFamily]:
    """Those that this host's kernel does."""
    for family in _FAMILIES:
        with suppress(NetlinkError):
            netlink.get_rules(family=family)
            yield family


def _families_of(device: str) -> Iterator[socket.AddressFamily]:
    """Those that the device may be used for: IPv6 may be switched off, for all devices or for this one."""
    yield socket.AF_INET
    with suppress(FileNotFoundError):
        if Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").read_text() == "0\n":
            yield socket.AF_INET6


def _egress(netlink: IPRoute, vip: Address, number: int) -> int | None:
    """The ifindex of the device that a packet with the mark leaves by; None if it cannot leave."""
    family = socket.AF_INET if vip.version == 4 else socket.AF_INET6
    try:
        [route, *_] = netlink.route("get", family=family, dst=str(vip), mark=mark(number))
    except NetlinkError:
        return None
    index: int | None = route.get("oif")
    return index


def _remove_rules(netlink: IPRoute, family: int, number: int) -> None:
    for rule in netlink.get_rules(family=family):
        if (rule.get("fwmark"), rule.get_attr("FRA_TABLE")) == (mark(number), MARK + number):
            netlink.rule("del", family=family, fwmark=mark(number), table=MARK + number, priority=_PRIORITY)
