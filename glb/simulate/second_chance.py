# SPDX-License-Identifier: MIT
"""glb: stateless directors, and proxies that send packets of unknown connections on.

Source: the tables of glb (`glb.table.rows`), and the rules of docs/datapath.md.
Assumed: packets of a connection that a hop does not know pass the whole row within the client's patience; a dead hop
loses them.
"""

import numpy as np
import numpy.typing as npt

from glb.simulate.balancer import Delivery, World, lost_in
from glb.simulate.connections import Indices
from glb.simulate.ecmp import LOST, REFUSED, Numbers
from glb.simulate.timeline import Epoch
from glb.table.builder import RowBuilder
from glb.table.model import NO_HOP


class SecondChance:
    """Directors with glb's rows."""

    def __init__(self, world: World) -> None:
        builder, depth = RowBuilder(), world.scenario.depth
        self._tables = np.stack([builder.rows(table, world.seed, depth) for table in world.timeline.tables])
        self._rows = world.connections.row

    def opened(self, epoch: Epoch, chosen: Indices, directors: Numbers) -> Delivery:
        """The first hop accepts a connection's first packet, in any state, unless it is dead."""
        first = self._hops(epoch, chosen, directors)[:, 0].astype(np.int16)
        return Delivery(first, lost_in(epoch.failed, first))

    def continued(self, epoch: Epoch, chosen: Indices, directors: Numbers, homes: Numbers) -> Delivery:
        """The first hop that knows the connection accepts the packet, unless a dead hop before it loses it."""
        hops = self._hops(epoch, chosen, directors)
        known_at, lost_at = _first(hops == homes[:, np.newaxis]), _first(np.isin(hops, list(epoch.failed)))
        taken_by = np.where(known_at < hops.shape[1], homes, np.int16(REFUSED))
        taken_by[lost_at < known_at] = LOST
        return Delivery(hops[:, 0].astype(np.int16), taken_by)

    def _hops(self, epoch: Epoch, chosen: Indices, directors: Numbers) -> Numbers:
        """The hops of each connection's row, in its director's version of the table."""
        versions = np.array(epoch.versions)[directors]
        hops = self._tables[versions, self._rows[chosen]]
        return np.where(hops == NO_HOP, LOST, hops.astype(np.int32)).astype(np.int16)


def _first(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """The position of the first set flag in each row; the number of columns if none is set."""
    places: npt.NDArray[np.intp] = np.where(flags.any(axis=1), flags.argmax(axis=1), flags.shape[1])
    return places
