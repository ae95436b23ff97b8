# SPDX-License-Identifier: MIT
"""Building rows repeatedly, computing only what has changed."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from os import cpu_count
from threading import Lock
from weakref import WeakValueDictionary

from glb.config.model import Backend, State
from glb.errors import TableError
from glb.hashing.ranking import Order, Ranking
from glb.hashing.rendezvous import Candidate, Ranker, is_weighted
from glb.table.cost_cache import CostCache
from glb.table.model import Rows, narrow, rows_bytes
from glb.table.rows import arrange, candidates_of, members

SPARE = 4
"""Candidates of each row that are kept beyond its depth; they move up when others leave."""

MEMORY = 256 << 20
"""Default bytes of a builder's cache: at depth 3, orders of some 400 tables of up to 255 backends."""

_RANKINGS_SHARE = 4  # the fraction of these bytes, 1/4, for rankings, which only a change of candidates needs

_Place = tuple[bytes, float, str | None, bool]
_Key = tuple[bytes, int, tuple[_Place, ...]]
_Status = tuple[tuple[State, bool], ...]

Shape = tuple[Sequence[Backend], bytes, int]
"""The input of rows: backends, seed, depth."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """The input of a table's rows apart from states and health. Never changed."""

    order: Order
    members: Rows

    @property
    def nbytes(self) -> int:
        return self.order.nbytes + self.members.nbytes


class RowBuilder:
    """Builds the same rows as `build_rows`, with a cache.

    It keeps the order of each row's best backends, by seed, depth and backends: if only states or health change,
    nothing is hashed. It keeps some rankings: if backends are added or removed, only these are hashed. The cache is
    limited to `memory` bytes; the entry that is cheapest to compute again is removed first, never the newest. Rows
    that are in use elsewhere are reused.

    It is safe for threads: locks are held for single lookups only, and cached values are never changed. Two threads
    that need the same value at the same time both compute it.
    """

    def __init__(self, memory: int = MEMORY, ranker: Ranker | None = None) -> None:
        """ranker: computes the hashes; None: numpy."""
        self._ranker = ranker
        self._memory = memory - memory // _RANKINGS_SHARE
        self._entries: CostCache[_Key, _Entry] = CostCache(self._memory)
        self._rankings: CostCache[_Key, Ranking] = CostCache(memory // _RANKINGS_SHARE)
        self._made: WeakValueDictionary[tuple[_Key, _Status], Rows] = WeakValueDictionary()
        self._lock = Lock()

    def prepare(self, shapes: Iterable[Shape]) -> None:
        """Do the expensive part of `rows` for each shape, on all CPUs; errors are left to `rows`.

        New shapes are hashed completely, even if they are similar; no more of them than fit into the cache.
        """
        with self._lock:
            made = {key for key, _ in self._made}
        wanted = {_key(*shape): shape[0] for shape in shapes}
        missing = {key: wanted[key] for key in wanted if key not in made and key not in self._entries}
        chosen = {key: missing[key] for key in self._that_fit(missing)}
        with ThreadPoolExecutor(cpu_count()) as pool:  # numpy releases Python's lock
            for _ in pool.map(self._make_if_possible, chosen, chosen.values()):
                pass

    def rows(self, backends: Sequence[Backend], seed: bytes, depth: int) -> Rows:
        """As `build_rows`; the result is read-only."""
        key = _key(backends, seed, depth)
        made_of = key, _status(backends)
        with self._lock:
            rows = self._made.get(made_of)
        if rows is None:
            entry = self._entries.get(key) or self._make(key, backends)
            rows = arrange(backends, entry.order, entry.members)
            rows.setflags(write=False)
            with self._lock:
                rows = self._made.setdefault(made_of, rows)
        return rows

    def new_bytes(self, shapes: Iterable[Shape]) -> int:
        """The bytes that the rows of these shapes need, without rows that exist."""
        wanted = {(_key(*shape), _status(shape[0])): (len(shape[0]), shape[2]) for shape in shapes}
        with self._lock:
            missing = [size for made_of, size in wanted.items() if made_of not in self._made]
        return sum(rows_bytes(backends, depth) for backends, depth in missing)

    def _make(self, key: _Key, backends: Sequence[Backend]) -> _Entry:
        seed, depth, _ = key
        candidates = candidates_of(backends, depth)
        ranking = self._ranking(candidates, seed, depth)
        order = ranking.order()
        entry = _Entry(order, narrow(members(backends, order), len(backends)))
        self._rankings.put(key, ranking, ranking.nbytes, len(candidates))
        self._entries.put(key, entry, entry.nbytes, len(candidates))
        return entry

    def _make_if_possible(self, key: _Key, backends: Sequence[Backend]) -> None:
        with suppress(TableError, MemoryError):
            self._make(key, backends)

    def _ranking(self, candidates: Sequence[Candidate], seed: bytes, depth: int) -> Ranking:
        """Derived from the most similar ranking, unless hashing all candidates is as cheap."""
        wanted, alike = set(candidates), (seed, depth, is_weighted(candidates))
        near = [
            (len(wanted.symmetric_difference(ranking.candidates.values())), ranking)
            for ranking in self._rankings.values()
            if (ranking.seed, ranking.wanted, ranking.weighted) == alike
        ]
        changes, nearest = min(near, key=lambda pair: pair[0], default=(len(wanted), None))
        if nearest is None or changes > len(wanted) // 2:
            return Ranking.of(candidates, seed, depth, SPARE, self._ranker)
        return nearest.changed(candidates) if changes else nearest

    def _that_fit(self, keys: Iterable[_Key]) -> Iterator[_Key]:
        """The first of these keys, as many as fit into the cache."""
        left = self._memory
        for key in keys:
            left -= _entry_bytes(len(key[2]), depth=key[1])
            if left < 0:
                return
            yield key


def _entry_bytes(backends: int, depth: int) -> int:
    return rows_bytes(backends, 2 * depth + SPARE)


def _status(backends: Sequence[Backend]) -> _Status:
    return tuple((backend.state, backend.healthy) for backend in backends)


def _key(backends: Sequence[Backend], seed: bytes, depth: int) -> _Key:
    return seed, depth, tuple(_place(backend) for backend in backends)


def _place(backend: Backend) -> _Place:
    """The properties on which the members of rows depend."""
    return backend.address.packed, backend.weight, backend.zone, backend.state is State.INACTIVE
