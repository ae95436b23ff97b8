"""The rows of a forwarding table: which backends a flow is offered to, and in which order."""

from collections.abc import Sequence

import numpy as np

from glb.config.model import Backend, State
from glb.hashing.rendezvous import ROWS, rank
from glb.table.model import NO_HOP, Rows, TableError

DEPTHS = range(2, 9)


def build_rows(backends: Sequence[Backend], seed: bytes, depth: int) -> Rows:
    """Rank the backends of each row by rendezvous hashing.

    Returns a (65536, depth) array of indices into `backends`, dtype uint16, first hop first. Inactive
    backends are left out; hops for which there is no backend are NO_HOP.

    depth 2 is GitHub's table to the letter: if the primary is draining or unhealthy, and the secondary's
    state is `active`, they swap places. The secondary's health is not looked at, and `filling` is not
    `active` here: GitHub's compiler compares with the binary's state 1, and filling is 0.

    depth 3 to 8: a row's hops are its first `depth` backends in rendezvous order, whatever their state. Of
    these, the ones that can take new connections come first, then the draining or unhealthy ones. So a
    backend that drains or fails stays in the rows where it has connections. Only where none of a row's hops
    can take new connections, the best backend that can goes ahead of them, and the last of them is dropped.

    Raises TableError if the depth is not from 2 to 8, or if no backend is left.
    """
    if depth not in DEPTHS:
        raise TableError(f"a table of depth {depth} cannot be built; depths are {DEPTHS[0]} to {DEPTHS[-1]}")
    candidates = [i for i, backend in enumerate(backends) if backend.state is not State.INACTIVE]
    if not candidates:
        raise TableError("a table needs at least one backend that is not inactive")
    hops = _rank(backends, candidates, seed, depth)
    if depth == 2:
        _swap_leaving_primary(hops, backends)
    else:
        _put_available_first(hops, backends, seed)
    rows = np.full((ROWS, depth), NO_HOP, np.uint16)
    rows[:, : hops.shape[1]] = hops
    return rows


def _rank(backends: Sequence[Backend], chosen: Sequence[int], seed: bytes, best: int) -> Rows:
    """The first `best` columns, or fewer, of the ranking of `chosen`, as indices into `backends`."""
    ranking = rank([backends[index].address for index in chosen], seed, best)
    return np.array(chosen, np.uint16)[ranking]


def _swap_leaving_primary(hops: Rows, backends: Sequence[Backend]) -> None:
    if hops.shape[1] < 2:
        return
    leaves = np.array([backend.state is State.DRAINING or not backend.healthy for backend in backends])
    stands_in = np.array([backend.state is State.ACTIVE for backend in backends])
    swap = leaves[hops[:, 0]] & stands_in[hops[:, 1]]
    hops[swap] = hops[swap, ::-1]


def _put_available_first(hops: Rows, backends: Sequence[Backend], seed: bytes) -> None:
    available = np.array([backend.available for backend in backends])
    order = np.argsort(~available[hops], axis=1, kind="stable")
    hops[:] = np.take_along_axis(hops, order, axis=1)
    stranded = ~available[hops[:, 0]]
    if stranded.any() and available.any():
        best = _rank(backends, np.flatnonzero(available).tolist(), seed, 1)
        hops[stranded, 1:] = hops[stranded, :-1]
        hops[stranded, 0] = best[stranded, 0]
