"""The firewall marks and routing tables by which checks of a VIP, and nothing else, get into their TUN device.

A device numbered n has the mark and the table MARK + n, and one rule a family: whoever has the mark, looks there. Both
numbers spell "glb" and leave 256 devices room. This is the only place that knows them.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

MARK = 0x676C6200
MAX_DEVICES = 256
_PRIORITY = 19523
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def mark(number: int) -> int:
    """The SO_MARK of sockets whose packets go into the device with this number."""
    return MARK + number


def lead_into(number: int, index: int) -> None:
    """Route what has the device's mark into the device; `index` is its ifindex.

    Rules that a killed daemon has left for the number are taken over. Raises NetlinkError.
    """
    table = MARK + number
    with IPRoute() as netlink:
        for family in _families(netlink):
            _remove_rules(netlink, family, number)
            default = "0.0.0.0/0" if family == socket.AF_INET else "::/0"
            netlink.route("replace", family=family, dst=default, oif=index, table=table)
            netlink.rule("add", family=family, fwmark=mark(number), table=table, priority=_PRIORITY)


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


def _remove_rules(netlink: IPRoute, family: int, number: int) -> None:
    for rule in netlink.get_rules(family=family):
        if rule.get("fwmark") == mark(number):
            netlink.rule("del", family=family, fwmark=mark(number), table=MARK + number, priority=_PRIORITY)
