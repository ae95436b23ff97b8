# SPDX-License-Identifier: MIT
"""The rows of a forwarding table: the hops of a flow, in order.

Rows are built in two steps. The members of a row depend on the backends and their zones. They do not depend on states
and health, so a draining or failed backend stays in the rows of its connections. The order of the members depends on
which of them can take new connections.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from glb.config.model import Backend, State
from glb.errors import TableError
from glb.hashing.ranking import Order, Ranking
from glb.hashing.rendezvous import NO_NUMBER, ROWS, Candidate, RowNumbers, is_weighted, sift
from glb.table.model import NO_HOP, Rows, narrow

DEPTHS = range(2, 9)

Flags = npt.NDArray[np.bool_]
Hops = npt.NDArray[np.uint16]

# For sorting, each hop is a word: its standing, its position, its backend.
STANDING_SHIFT = 30
POSITION_SHIFT = 16

Standings = npt.NDArray[np.uint32]
"""Of each backend: 0 if it can take new connections, 1 if it is draining, 2 if it is unhealthy."""


def build_rows(backends: Sequence[Backend], seed: bytes, depth: int) -> Rows:
    """Rank the backends of each row by rendezvous hashing.

    Returns a (65536, depth) array of indices into `backends`, first hop first; dtype uint8 where these fit and no hop
    is NO_HOP, else uint16. Inactive backends are left out; hops for which there is no backend are NO_HOP.

    A row's members are its first `depth` backends in rendezvous order. If these are all in one zone, the first backend
    of another zone replaces the last of them. A backend without a zone is in a zone by itself.

    depth 2 is exactly GitHub's table, unless weights or zones are given: if the primary is draining or unhealthy, and
    the secondary's state is `active`, they are swapped. The secondary's health is ignored, and `filling` is not
    `active` here: GitHub's compiler compares with the binary's state 1, and filling is 0.

    depth 3 to 8: the members that can take new connections come first, then those that are draining, then the
    unhealthy ones, since packets cannot pass a dead host. If no member can take new connections, the best backend that
    can is put first, and the last member is dropped. The second hop is the first one of another zone than the first
    hop's, unless that would change the order available, draining, unhealthy.

    Raises TableError if the depth is not from 2 to 8, or if no backend is left.
    """
    order = Ranking.of(candidates_of(backends, depth), seed, depth).order()
    return arrange(backends, order, members(backends, order))


def candidates_of(backends: Sequence[Backend], depth: int) -> list[Candidate]:
    """The candidates for rendezvous hashing: the backends that are not inactive, in their order.

    If all weights are equal, they are 1. Raises TableError as `build_rows` does.
    """
    if depth not in DEPTHS:
        raise TableError(f"a table of depth {depth} cannot be built; depths are {DEPTHS[0]} to {DEPTHS[-1]}")
    candidates = [
        Candidate(backend.address.packed, backend.weight) for backend in backends if backend.state is not State.INACTIVE
    ]
    if not candidates:
        raise TableError("a table needs at least one backend that is not inactive")
    if is_weighted(candidates):
        return candidates
    return [Candidate(candidate.address) for candidate in candidates]


def members(backends: Sequence[Backend], order: Order) -> Hops:
    """The members of each row: (n, 65536) indices into `backends` in rendezvous order.

    n is the order's `wanted`, the table's depth, or less if there are fewer backends.
    """
    index_of = _index_by_number(backends, order)
    chosen: Hops = index_of[order.members()]
    zones = _zone_by_index(backends)
    if zones is not None:
        _add_another_zone(chosen, order, index_of, zones)
    return chosen


def arrange(backends: Sequence[Backend], order: Order, chosen: Rows) -> Rows:
    """The members of each row in the order of hops: (65536, depth), as `build_rows` returns it."""
    hops = chosen.astype(np.uint16)
    if order.wanted == 2:
        _swap_leaving_primary(hops, backends)
    else:
        hops = _available_first(hops, backends, order)
    if len(hops) == order.wanted:
        return narrow(np.ascontiguousarray(hops.T), len(backends))
    rows = np.full((ROWS, order.wanted), NO_HOP, np.uint16)
    rows[:, : len(hops)] = hops.T
    return rows


def _index_by_number(backends: Sequence[Backend], order: Order) -> Hops:
    """The indices in `backends` of the order's candidates, by number."""
    indices = {backend.address.packed: index for index, backend in enumerate(backends)}
    index_of = np.full(NO_NUMBER + 1, NO_HOP, np.uint16)
    for number, candidate in order.candidates.items():
        index_of[number] = indices[candidate.address]
    return index_of


def _zone_by_index(backends: Sequence[Backend]) -> Hops | None:
    """The zone of each backend as a number; None if zones have no effect: all differ, or all are equal."""
    names = {
        index: index if backend.zone is None else backend.zone
        for index, backend in enumerate(backends)
        if backend.state is not State.INACTIVE
    }
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names.values()))}
    if len(numbers) in (1, len(names)):
        return None
    zones = np.zeros(NO_HOP + 1, np.uint16)
    zones[list(names)] = [numbers[name] for name in names.values()]
    return zones


def _add_another_zone(hops: Hops, order: Order, index_of: Hops, zones: Hops) -> None:
    """If all members are in one zone, replace the last by the first backend of another zone, in place."""
    rows = np.flatnonzero((zones[hops] == zones[hops[0]]).all(axis=0))
    owners = zones[hops[0, rows]]
    for zone in np.unique(owners):
        alike = rows[owners == zone]
        others = [number for number in order.candidates if zones[index_of[number]] != zone]
        hops[-1, alike] = index_of[order.first_of(alike, others)]


def _swap_leaving_primary(hops: Hops, backends: Sequence[Backend]) -> None:
    if len(hops) < 2:
        return
    leaves = np.array([backend.state is State.DRAINING or not backend.healthy for backend in backends])
    stands_in = np.array([backend.state is State.ACTIVE for backend in backends])
    swap = leaves[hops[0]] & stands_in[hops[1]]
    hops[:, swap] = hops[::-1, swap]


def _available_first(members: Hops, backends: Sequence[Backend], order: Order) -> Hops:
    """The hops of each row, as (n, 65536) indices, by the rule for depth 3 and more."""
    standings = np.array([_standing(backend) for backend in backends], np.uint32)
    available = standings == 0
    zones = _zone_by_index(backends)
    hops = members.copy()
    touched = np.flatnonzero(~available[members].all(axis=0))
    stranded = touched[~available[members[:, touched]].any(axis=0)] if available.any() else touched[:0]
    best = _best_available(stranded, available, backends, order)
    hops[:, stranded] = _with_first(best, members[:, stranded], zones)
    hops[:, touched] = _by_standing(hops[:, touched], standings)
    if zones is not None:
        _promote_another_zone(hops, standings, zones)
    return hops


def _with_first(best: Hops, members: Hops, zones: Hops | None) -> Hops:
    """The best, then the members without the last; without the one before it if only the last is in another zone."""
    hops = np.vstack((best, members))
    if zones is not None:
        alone = (zones[hops[:-1]] == zones[best]).all(axis=0) & (zones[hops[-1]] != zones[best])
        hops[-2, alone] = hops[-1, alone]
    return hops[:-1]


def _standing(backend: Backend) -> int:
    if not backend.healthy:
        return 2
    return 0 if backend.state.takes_new else 1


def _by_standing(hops: Hops, standings: Standings) -> Hops:
    """Each row's hops sorted by standing; the sort is stable."""
    words = hops | np.arange(len(hops), dtype=np.uint32)[:, np.newaxis] << np.uint32(POSITION_SHIFT)
    words |= standings[hops] << np.uint32(STANDING_SHIFT)
    for end in range(len(words), 1, -1):
        sift(words[:end])
    return words.astype(np.uint16)


def _best_available(rows: RowNumbers, available: Flags, backends: Sequence[Backend], order: Order) -> Hops:
    """The first available backend of each row; one must exist if there is a row."""
    if not rows.size:
        return np.empty(0, np.uint16)
    index_of = _index_by_number(backends, order)
    able = [number for number in order.candidates if available[index_of[number]]]
    best: Hops = index_of[order.first_of(rows, able)]
    return best


def _promote_another_zone(hops: Hops, standings: Standings, zones: Hops) -> None:
    """Make the second hop one of another zone than the first's, in place, if one of equal standing exists."""
    rows = np.flatnonzero(zones[hops[0]] == zones[hops[1]])
    part = hops[:, rows]
    standing = standings[part]
    fitting = (zones[part] != zones[part[0]]) & (standing == standing[1])
    chosen = fitting.argmax(axis=0)  # 0 if there is none: the first hop itself never fits
    places = np.arange(len(part))[:, np.newaxis]
    sources = np.where((places >= 2) & (places <= chosen), places - 1, places)
    sources[1] = np.where(chosen > 0, chosen, 1)
    hops[:, rows] = np.take_along_axis(part, sources, axis=0)
