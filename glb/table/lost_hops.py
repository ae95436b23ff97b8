# SPDX-License-Identifier: MIT
"""Which rows of a table lose a backend that may have connections there, when another table takes its place.

An established connection of a row lives at one of the hops that its row had. Its packets find it as long as that
backend is one of the row's hops, whichever: each hop passes on what it does not know.
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
    the change, is lost. possible: a further hop is lost that was first before, so that it may still have connections.
    came: the numbers of the new hops which were none before, by row; END_OF_ROW elsewhere. moved: in how many rows the
    first hop is another; all, if flows change rows because the hash key is another. A hop is then lost if it is not in
    each of the new rows.
    """

    addresses: tuple[Address, ...]
    hops: Hops
    certain: Flags
    possible: Flags
    came: Hops
    moved: int

    def rows(self, lost: Flags) -> Mapping[Address, int]:
        """In how many rows each backend is lost, of `certain` or `possible`; those that are in none left out."""
        counts = np.bincount(self.hops[lost], minlength=len(self.addresses))
        return {address: int(count) for address, count in zip(self.addresses, counts, strict=True) if count}

    def newcomers(self, lost: Flags, address: Address) -> tuple[Address, ...]:
        """The hops that came into the rows in which a backend is lost."""
        rows = (lost & (self.hops == self.addresses.index(address))).any(axis=1)
        return tuple(self.addresses[number] for number in np.unique(self.came[rows]) if number != END_OF_ROW)


def lost_hops(old: BuiltTable, new: BuiltTable) -> LostHops:
    """Compare the rows that the flows of one table have with those that another one gives them."""
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
    """The old hops that are not in each and every new row."""
    rows_with = np.zeros(count, np.int64)
    for position, column in enumerate(after.T):
        again = (after[:, :position] == column[:, np.newaxis]).any(axis=1)
        rows_with += np.bincount(column[(column != END_OF_ROW) & ~again], minlength=count)
    everywhere = np.append(rows_with == len(after), False)  # the last is END_OF_ROW's
    lost: Flags = (before != END_OF_ROW) & ~everywhere[before]
    return lost


def _were_first(hops: Hops, table: BuiltTable, addresses: Sequence[Address]) -> Flags:
    """The further hops that have been first, as far as it can be seen.

    A draining or unhealthy hop was, before it began to drain or failed; and behind a filling one the next that is not
    filling was, before that came.
    """
    backends = {backend.address: backend for backend in table.backends}
    known = [backends.get(address) for address in addresses]
    gave_way = np.array([b is not None and not b.available for b in known] + [False])
    filling = np.array([b is not None and b.available and b.state is State.FILLING for b in known] + [False])
    were: Flags = gave_way[hops]
    behind = filling[hops[:, 0]]
    for position in range(1, hops.shape[1]):
        were[:, position] |= behind
        behind = behind & (filling | gave_way)[hops[:, position]]
    further: Flags = (hops != END_OF_ROW) & (hops != hops[:, :1])
    return were & further


def _came(before: Hops, after: Hops) -> Hops:
    came = after.copy()
    for column in before.T:
        came[after == column[:, np.newaxis]] = END_OF_ROW
    return came
