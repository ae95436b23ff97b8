"""Building rows again and again, with only what has changed worked out anew."""

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from weakref import WeakValueDictionary

from glb.config.model import Backend, State
from glb.hashing.ranking import Ranking
from glb.hashing.rendezvous import ROWS, Candidate, is_weighted
from glb.table.model import Rows, TableError
from glb.table.rows import arrange, candidates_of, members

SPARE = 4
"""Candidates of each row that are kept beyond its depth, to move up as others go."""

MEMORY = 256 << 20
"""Bytes of rankings that a builder keeps, if it is told nothing else: at depth 3 some 50."""

_Place = tuple[bytes, float, str | None, bool]
_Key = tuple[bytes, int, tuple[_Place, ...]]
_Status = tuple[tuple[State, bool], ...]

Shape = tuple[Sequence[Backend], bytes, int]
"""What rows are built of: backends, seed, depth."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a table's rows are made of when it is known who drains and who has failed."""

    ranking: Ranking
    members: Rows

    @property
    def nbytes(self) -> int:
        return self.ranking.nbytes + self.members.nbytes


class RowBuilder:
    """Builds the same rows as `build_rows`, and remembers what the next ones may need.

    It holds rankings by seed, depth and backends: where only states or health are new, rows are put in another order;
    where backends have come or gone, only they are hashed. What was used least recently is forgotten when `memory`
    bytes are exceeded, but never the last. Rows that somebody still holds are not made again. Not to be used by two
    threads at once.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._made: WeakValueDictionary[tuple[_Key, _Status], Rows] = WeakValueDictionary()

    def prepare(self, shapes: Iterable[Shape]) -> None:
        """Do the costly part of what `rows` does for each of these, on all CPUs; what cannot be built is left to it.

        Those that are new are hashed as a whole, whether or not they are like one another; no more of them than will
        be kept.
        """
        known = {*self._entries, *(key for key, _ in self._made)}
        wanted = {_key(*shape): shape[0] for shape in shapes}
        missing = {key: wanted[key] for key in self._that_fit(key for key in wanted if key not in known)}
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy works without Python's lock
            made = list(pool.map(self._made_if_possible, missing, missing.values()))
        for key, entry in zip(missing, made, strict=True):
            if entry is not None:
                self._keep(key, entry)

    def rows(self, backends: Sequence[Backend], seed: bytes, depth: int) -> Rows:
        """As `build_rows`, and read-only."""
        key = _key(backends, seed, depth)
        status = tuple((backend.state, backend.healthy) for backend in backends)
        rows = self._made.get((key, status))
        if rows is None:
            entry = self._entry(key, backends)
            rows = arrange(backends, entry.ranking, entry.members)
            rows.setflags(write=False)
            self._made[key, status] = rows
        return rows

    def _entry(self, key: _Key, backends: Sequence[Backend]) -> _Entry:
        entry = self._entries.get(key) or self._make(key, backends)
        self._keep(key, entry)
        return entry

    def _make(self, key: _Key, backends: Sequence[Backend]) -> _Entry:
        seed, depth, _ = key
        ranking = self._ranking(candidates_of(backends, depth), seed, depth)
        return _Entry(ranking, members(backends, ranking))

    def _made_if_possible(self, key: _Key, backends: Sequence[Backend]) -> _Entry | None:
        try:
            return self._make(key, backends)
        except TableError:
            return None

    def _keep(self, key: _Key, entry: _Entry) -> None:
        self._entries[key] = entry
        self._entries.move_to_end(key)
        self._forget()

    def _ranking(self, candidates: Sequence[Candidate], seed: bytes, depth: int) -> Ranking:
        """From the ranking that differs least, unless it differs so much that hashing all is as cheap."""
        wanted, alike = set(candidates), (seed, depth, is_weighted(candidates))
        rankings = [entry.ranking for entry in self._entries.values()]
        near = [
            (len(wanted.symmetric_difference(ranking.candidates.values())), ranking)
            for ranking in rankings
            if (ranking.seed, ranking.wanted, ranking.weighted) == alike
        ]
        changes, nearest = min(near, key=lambda pair: pair[0], default=(len(wanted), None))
        if nearest is None or changes > len(wanted) // 2:
            return Ranking.of(candidates, seed, depth, SPARE)
        return nearest.changed(candidates) if changes else nearest

    def _that_fit(self, keys: Iterable[_Key]) -> Iterator[_Key]:
        """The first of these, as many as may be kept at the same time."""
        left = self._memory
        for key in keys:
            left -= _most_bytes(depth=key[1])
            if left < 0:
                return
            yield key

    def _forget(self) -> None:
        used = sum(entry.nbytes for entry in self._entries.values())
        while used > self._memory and len(self._entries) > 1:
            _, entry = self._entries.popitem(last=False)
            used -= entry.nbytes


def _most_bytes(depth: int) -> int:
    """What an entry takes: words of the ranking, and the members' indices."""
    return ROWS * (8 * (depth + SPARE + 2) + 2 * depth)


def _key(backends: Sequence[Backend], seed: bytes, depth: int) -> _Key:
    return seed, depth, tuple(_place(backend) for backend in backends)


def _place(backend: Backend) -> _Place:
    """What the members of rows depend on."""
    return backend.address.packed, backend.weight, backend.zone, backend.state is State.INACTIVE
