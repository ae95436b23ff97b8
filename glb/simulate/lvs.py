# SPDX-License-Identifier: MIT
"""LVS (IPVS): each director stores the connections that it opened, and may synchronize them with the others.

Source: Zhang, "Linux Virtual Server for Scalable Network Services", Ottawa Linux Symposium, 2000; `sync_threshold` and
`sync_period` in docs.kernel.org/networking/ipvs-sysctl.html.
Assumed: backends are chosen round-robin, without a hash. Tables are large enough, and entries live as long as their
connections. Without an entry, a packet other than the first is refused. With synchronization, all directors have every
connection after the delay, without losses, and a new director has all before it gets traffic. This is better than real
synchronization, which copies a connection after a few packets and needs time for a new director.
"""

import numpy as np

from glb.simulate.balancer import Delivery, World, listed, lost_in
from glb.simulate.connections import Indices
from glb.simulate.ecmp import LOST, REFUSED, Numbers
from glb.simulate.timeline import Epoch


class Lvs:
    """Directors with connection tables, which they share if `synchronized`."""

    def __init__(self, world: World, synchronized: bool) -> None:
        self._connections = world.connections
        self._delay = world.scenario.sync_delay_s if synchronized else float("inf")
        self._opened_at = np.full(len(world.connections), LOST, np.int16)
        self._copied = np.zeros(len(world.connections), np.bool_)
        self._available = [
            np.array([number for number, backend in enumerate(table) if backend.available], np.int16)
            for table in world.timeline.tables
        ]
        self._listed = listed(world.timeline.tables)

    def opened(self, epoch: Epoch, chosen: Indices, directors: Numbers) -> Delivery:
        self._opened_at[chosen] = directors
        backends = np.full(len(chosen), LOST, np.int16)
        for version in set(epoch.versions):
            here = np.array(epoch.versions)[directors] == version
            if len(self._available[version]):
                turn = self._connections.choice[chosen[here]] % np.uint32(len(self._available[version]))
                backends[here] = self._available[version][turn]
        return Delivery(backends, lost_in(epoch.failed, backends))

    def continued(self, epoch: Epoch, chosen: Indices, directors: Numbers, homes: Numbers) -> Delivery:
        self._copy_and_forget(epoch)
        listed_here = self._listed[np.array(epoch.versions)[directors], homes]
        known = (self._opened_at[chosen] == directors) | self._copied[chosen]
        sent_to = np.where(known & listed_here, homes, np.int16(REFUSED))
        return Delivery(sent_to, sent_to)

    def _copy_and_forget(self, epoch: Epoch) -> None:
        """Copied connections are on all directors; a director that stopped has lost its table, even if it returns."""
        ready = self._connections.begin_s + self._delay <= epoch.begin_s
        self._copied |= ready & (self._opened_at != LOST)
        self._opened_at[~np.isin(self._opened_at, list(epoch.running))] = LOST
