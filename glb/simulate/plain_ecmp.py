# SPDX-License-Identifier: MIT
"""No load balancer: the router spreads connections over the backends themselves.

Source: Hopps, "Analysis of an Equal-Cost Multi-Path Algorithm", RFC 2992, 2000; for resilient hashing see `ecmp`.
Assumed: a backend is either a next hop of the router or not; so a drain and a failed health check both withdraw its
route. There are no directors.
"""

from glb.simulate.balancer import Delivery, World, lost_in
from glb.simulate.connections import Indices
from glb.simulate.ecmp import Numbers, buckets_over_time, next_hops
from glb.simulate.timeline import Epoch


class PlainEcmp:
    """Routes directly to the backends."""

    def __init__(self, world: World) -> None:
        members = [
            [number for number, backend in enumerate(table) if backend.available] for table in world.timeline.tables
        ]
        self._buckets = buckets_over_time(world.ecmp, members, world.scenario.buckets)
        self._hashes = world.connections.spread

    def opened(self, epoch: Epoch, chosen: Indices, directors: Numbers) -> Delivery:
        hops = next_hops(self._buckets[epoch.newest], self._hashes[chosen])
        return Delivery(hops, lost_in(epoch.failed, hops))

    def continued(self, epoch: Epoch, chosen: Indices, directors: Numbers, homes: Numbers) -> Delivery:
        return self.opened(epoch, chosen, directors)
