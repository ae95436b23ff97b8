# SPDX-License-Identifier: MIT
"""Whether answers from this host's VIPs reach clients, as far as routes and neighbours show it."""

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

_LOOK_SECONDS = 5.0


class ReturnPaths:
    """Looked up every few seconds: some 20 requests to the kernel, and nothing is sent."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._next_look = 0.0
        self.faults: Mapping[str, str] = {}
        """By family ("ipv4", "ipv6") of those that have VIPs, what keeps answers from clients; "" if nothing does."""

    def look(self, vips: Sequence[str], namespaces: Sequence[str]) -> None:
        """vips: addresses and networks. namespaces: those of proxy.conf, whose sockets answer as well.

        What is new is logged. Raises NetworkError.
        """
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_SECONDS
        look = partial(_paths, [ip_network(vip) for vip in vips])
        paths = [*look(), *(path for name in namespaces for path in within(name, look))]
        faults = faults_of(paths)
        for family, fault in faults.items():
            before = self.faults.get(family, "")
            if fault and fault != before:
                log.warning("%s: answers to %s clients are lost: %s", self._interface, family, fault)
            elif before and not fault:
                log.info("%s: answers to %s clients leave again", self._interface, family)
        self.faults = faults


def faults_of(paths: Sequence[ReturnPath]) -> dict[str, str]:
    """By family, the first of its paths that is lost. Pure."""
    faults: dict[str, str] = {}
    for path in paths:
        family = f"ipv{path.vip.version}"
        found = f"from {path.vip}: {path.describe()}" if path.is_lost else ""
        faults[family] = faults.get(family) or found
    return faults


def _paths(vips: Sequence[Network]) -> list[ReturnPath]:
    """From one VIP of each family: others leave by the same routes, unless rules select by source."""
    chosen: dict[int, Address] = {}
    with open_rtnetlink() as netlink:
        for local in local_networks(netlink):
            if overlapping(local.network, vips):
                chosen.setdefault(local.network.version, local.network[0])
        return [return_path(netlink, vip, client) for vip in chosen.values() for client in CLIENTS[vip.version]]
