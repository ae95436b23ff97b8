# SPDX-License-Identifier: MIT
"""Which rows lose a backend that may have connections, when one table replaces another.

An established connection of a row is at one of the hops that its row had. Its packets reach it while that backend is
any of the row's hops: a hop that does not know a connection sends its packets on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glb.config.model import Address, State
from glb.hashing.rendezvous import ROWS
from glb.table.diff import END_OF_ROW, Hops, numbered
from glb.table.model import BuiltTable

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LostHops:
    """Where a change loses backends, as (65536, hops of the old table) arrays.

    hops: the old hops, as numbers in `addresses`. certain: the first hop, which gets the row's new connections until
    the change, is lost. possible: a further hop is lost that was first before, so it may still have connections.
    came: the numbers of the hops that are new in the row; END_OF_ROW elsewhere. moved: the number of rows whose first
    hop differs; all, if flows change rows because the hash key differs. A hop is then lost unless all new rows contain
    it.
    """

    addresses: tuple[Address, ...]
    hops: Hops
    certain: Flags
    possible: Flags
    came: Hops
    moved: int

    def rows(self, lost: Flags) -> Mapping[Address, int]:
        """The number of rows that lose each backend, of `certain` or `possible`, if it is not 0."""
        counts = np.bincount(self.hops[lost], minlength=len(self.addresses))
        return {address: int(count) for address, count in zip(self.addresses, counts, strict=True) if count}

    def newcomers(self, lost: Flags, address: Address) -> tuple[Address, ...]:
        """The hops that are new in the rows that lose a backend."""
        rows = (lost & (self.hops == self.addresses.index(address))).any(axis=1)
        return tuple(self.addresses[number] for number in np.unique(self.came[rows]) if number != END_OF_ROW)


def lost_hops(old: BuiltTable, new: BuiltTable) -> LostHops:
    """Compare the rows of one table with those of another that replaces it."""
    addresses = tuple(dict.fromkeys(backend.address for table in (old, new) for backend in table.backends))
    before, after = numbered(old, addresses), numbered(new, addresses)
    rehashed = old.hash_key != new.hash_key
    lost = _lost_anywhere(before, after, len(addresses)) if rehashed else _lost_in_row(before, after)
    certain, possible = np.zeros_like(lost), lost & _were_first(before, old, addresses)
    certain[:, 0] = lost[:, 0]
    moved = ROWS if rehashed else int(np.count_nonzero(before[:, 0] != after[:, 0]))
    return LostHops(addresses, before, certain, possible, _came(before, after), moved)


def _lost_in_row(before: Hops, after: Hops) -> Flags:
    lost: Flags = before != END_OF_ROW
    for column in after.T:
        lost &= before != column[:, np.newaxis]
    return lost


def _lost_anywhere(before: Hops, after: Hops, count: int) -> Flags:
    """The old hops that are not in all new rows."""
    rows_with = np.zeros(count, np.int64)
    for position, column in enumerate(after.T):
        again = (after[:, :position] == column[:, np.newaxis]).any(axis=1)
        rows_with += np.bincount(column[(column != END_OF_ROW) & ~again], minlength=count)
    everywhere = np.append(rows_with == len(after), False)  # the last is END_OF_ROW's
    lost: Flags = (before != END_OF_ROW) & ~everywhere[before]
    return lost


def _were_first(hops: Hops, table: BuiltTable, addresses: Sequence[Address]) -> Flags:
    """The further hops that were first hops earlier, as far as the table shows.

    A draining or unhealthy hop was first before it began to drain or failed. If the first hop is filling, the next hop
    that is not filling was first before it.
    """
    backends = {backend.address: backend for backend in table.backends}
    known = [backends.get(address) for address in addresses]
    yielded = np.array([b is not None and not b.available for b in known] + [False])
    filling = np.array([b is not None and b.available and b.state is State.FILLING for b in known] + [False])
    were: Flags = yielded[hops]
    behind = filling[hops[:, 0]]
    for position in range(1, hops.shape[1]):
        were[:, position] |= behind
        behind = behind & (filling | yielded)[hops[:, position]]
    further: Flags = (hops != END_OF_ROW) & (hops != hops[:, :1])
    return were & further


def _came(before: Hops, after: Hops) -> Hops:
    came = after.copy()
    for column in before.T:
        came[after == column[:, np.newaxis]] = END_OF_ROW
    return came
