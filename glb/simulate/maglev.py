# SPDX-License-Identifier: MIT
"""Maglev hashing with a connection table in each director.

Source: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, sections 3.3 and 3.4.
Assumed: connection tables are large enough, and entries live as long as their connections. A draining backend is not in
the lookup table and keeps connections with an entry. An entry of a backend that is no longer configured is invalid.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from glb.hashing.siphash import siphash24
from glb.simulate.balancer import Delivery, World, listed, lost_in
from glb.simulate.connections import Indices
from glb.simulate.ecmp import LOST, Numbers
from glb.simulate.timeline import Backends, Epoch

TABLE_SIZE = 65537
"""A prime, the smaller of the two that the paper uses."""


class Maglev:
    """Directors that use their connection table first, then the lookup table of consistent hashing."""

    def __init__(self, world: World) -> None:
        made: dict[tuple[int, ...], Numbers] = {}
        tables = []
        for table in world.timeline.tables:
            members = tuple(number for number, backend in enumerate(table) if backend.available)
            if members not in made:
                made[members] = lookup_table(members, _names(table, members), world.seed)
            tables.append(made[members])
        self._tables = np.stack(tables)
        self._listed = listed(world.timeline.tables)
        self._choices = world.connections.choice % np.uint32(TABLE_SIZE)
        self._remembered_by = np.zeros(len(world.connections), np.uint64)

    def opened(self, epoch: Epoch, chosen: Indices, directors: Numbers) -> Delivery:
        self._remembered_by[chosen] = _bit(directors)
        backends = self._tables[np.array(epoch.versions)[directors], self._choices[chosen]]
        return Delivery(backends, lost_in(epoch.failed, backends))

    def continued(self, epoch: Epoch, chosen: Indices, directors: Numbers, homes: Numbers) -> Delivery:
        self._forget(epoch)
        versions, bits = np.array(epoch.versions)[directors], _bit(directors)
        remembered = (self._remembered_by[chosen] & bits != 0) & self._listed[versions, homes]
        backends = np.where(remembered, homes, self._tables[versions, self._choices[chosen]])
        self._remembered_by[chosen] |= bits
        return Delivery(backends, lost_in(epoch.failed, backends))

    def _forget(self, epoch: Epoch) -> None:
        """A director that stopped has lost its connection table, even if it returns."""
        self._remembered_by &= np.uint64(sum(1 << director for director in epoch.running))


def _bit(directors: Numbers) -> npt.NDArray[np.uint64]:
    return np.uint64(1) << directors.astype(np.uint64)


def _names(table: Backends, members: Sequence[int]) -> list[bytes]:
    return [table[number].address.packed for number in members]


def lookup_table(members: Sequence[int], names: Sequence[bytes], seed: bytes) -> Numbers:
    """The backend of each of the 65,537 entries: members take the next free entry of their permutation in turn.

    A member's permutation starts at one hash of its name and has another as its step. LOST if there is no member.
    """
    table = [LOST] * TABLE_SIZE
    hashes = [int.from_bytes(siphash24(seed, name), "big") for name in names]
    entry = [(hashed >> 32) % TABLE_SIZE for hashed in hashes]
    step = [(hashed & 0xFFFF_FFFF) % (TABLE_SIZE - 1) + 1 for hashed in hashes]
    filled = 0
    while members:
        for index, member in enumerate(members):
            place, skip = entry[index], step[index]
            while table[place] != LOST:
                place = (place + skip) % TABLE_SIZE
            table[place] = member
            entry[index] = (place + skip) % TABLE_SIZE
            filled += 1
            if filled == TABLE_SIZE:
                return np.array(table, np.int16)
    return np.array(table, np.int16)
