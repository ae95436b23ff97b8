# SPDX-License-Identifier: MIT
"""Whether replies from this host's VIPs reach clients, as far as routes and neighbours show."""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from ipaddress import ip_network

from glb.network.messages import Address, Network
from glb.network.namespaces import within
from glb.network.return_path import CLIENTS, ReturnPath, return_path
from glb.network.rtnetlink import open_rtnetlink
from glb.network.stack import local_networks, overlapping

log = logging.getLogger(__name__)

_REFRESH_SECONDS = 5.0


class ReturnPaths:
    """Looks up the routes every few seconds: some 20 requests to the kernel, and no packets."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._next_refresh = 0.0
        self.faults: Mapping[str, str] = {}
        """By family of the VIPs ("ipv4", "ipv6"), why replies do not reach clients; "" if they do."""

    def refresh(self, vips: Sequence[str], namespaces: Sequence[str]) -> None:
        """Look up the return paths, unless that was done a moment ago. Changes are logged. Raises NetworkError.

        vips: addresses and networks. namespaces: those of proxy.conf, whose sockets reply as well.
        """
        if time.monotonic() < self._next_refresh:
            return
        self._next_refresh = time.monotonic() + _REFRESH_SECONDS
        find = partial(_paths, [ip_network(vip) for vip in vips])
        paths = [*find(), *(path for name in namespaces for path in within(name, find))]
        faults = faults_of(paths)
        for family, fault in faults.items():
            before = self.faults.get(family, "")
            if fault and fault != before:
                log.warning("%s: replies to %s clients are lost: %s", self._interface, family, fault)
            elif before and not fault:
                log.info("%s: replies to %s clients leave again", self._interface, family)
        self.faults = faults


def faults_of(paths: Sequence[ReturnPath]) -> dict[str, str]:
    """The first lost path of each family. Pure."""
    faults: dict[str, str] = {}
    for path in paths:
        family = f"ipv{path.vip.version}"
        found = f"from {path.vip}: {path.describe()}" if path.is_lost else ""
        faults[family] = faults.get(family) or found
    return faults


def _paths(vips: Sequence[Network]) -> list[ReturnPath]:
    """The return paths of one VIP of each family. Other VIPs use the same routes, unless rules select by source."""
    chosen: dict[int, Address] = {}
    with open_rtnetlink() as netlink:
        for local in local_networks(netlink):
            if overlapping(local.network, vips):
                chosen.setdefault(local.network.version, local.network[0])
        return [return_path(netlink, vip, client) for vip in chosen.values() for client in CLIENTS[vip.version]]
