"""Building rows again and again, with only what has changed worked out anew."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from glb.config.model import Backend, State
from glb.hashing.ranking import Ranking
from glb.hashing.rendezvous import Candidate, is_weighted
from glb.table.model import Rows
from glb.table.rows import arrange, candidates_of, members

SPARE = 4
"""Candidates of each row that are kept beyond its depth, to move up as others go."""

MEMORY = 256 << 20
"""Bytes of rankings and rows that a builder keeps, if it is told nothing else."""

_Place = tuple[bytes, float, str | None, bool]
_Key = tuple[bytes, int, tuple[_Place, ...]]
_Status = tuple[tuple[State, bool], ...]


@dataclass(slots=True)
class _Entry:
    """A table's ranking and members, and the last rows that were made of them."""

    ranking: Ranking
    members: Rows
    status: _Status
    rows: Rows

    @property
    def nbytes(self) -> int:
        return self.ranking.nbytes + self.members.nbytes + self.rows.nbytes


class RowBuilder:
    """Builds the same rows as `build_rows`, and remembers what the next ones may need.

    It holds rankings by seed, depth and backends: where only states or health are new, rows are put in another order;
    where backends have come or gone, only they are hashed. What was used least recently is forgotten when `memory`
    bytes are exceeded, but never the last. Not to be used by two threads at once.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()

    def rows(self, backends: Sequence[Backend], seed: bytes, depth: int) -> Rows:
        """As `build_rows`; the array is read-only, and the same one as before if nothing has changed."""
        key = (seed, depth, tuple(_place(backend) for backend in backends))
        status = tuple((backend.state, backend.healthy) for backend in backends)
        entry = self._entries.get(key)
        if entry is None:
            ranking = self._ranking(candidates_of(backends, depth), seed, depth)
            chosen = members(backends, ranking)
            entry = _Entry(ranking, chosen, status, _frozen(arrange(backends, ranking, chosen)))
            self._entries[key] = entry
        elif entry.status != status:
            entry.status, entry.rows = status, _frozen(arrange(backends, entry.ranking, entry.members))
        self._entries.move_to_end(key)
        self._forget()
        return entry.rows

    def _ranking(self, candidates: Sequence[Candidate], seed: bytes, depth: int) -> Ranking:
        """From the ranking that differs least, unless it differs so much that hashing all is as cheap."""
        wanted = set(candidates)
        near = [
            (len(wanted.symmetric_difference(ranking.candidates.values())), ranking)
            for ranking in (entry.ranking for entry in self._entries.values())
            if (ranking.seed, ranking.wanted, ranking.weighted) == (seed, depth, is_weighted(candidates))
        ]
        changes, nearest = min(near, key=lambda pair: pair[0], default=(len(wanted), None))
        if nearest is None or changes > len(wanted) // 2:
            return Ranking.of(candidates, seed, depth, SPARE)
        return nearest.changed(candidates) if changes else nearest

    def _forget(self) -> None:
        used = sum(entry.nbytes for entry in self._entries.values())
        while used > self._memory and len(self._entries) > 1:
            _, entry = self._entries.popitem(last=False)
            used -= entry.nbytes


def _place(backend: Backend) -> _Place:
    """What the members of rows depend on."""
    return backend.address.packed, backend.weight, backend.zone, backend.state is State.INACTIVE


def _frozen(rows: Rows) -> Rows:
    rows.setflags(write=False)
    return rows
