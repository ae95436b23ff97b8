# SPDX-License-Identifier: MIT
"""The first few candidates of each row of a table, kept so that a change of candidates costs little."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from glb.hashing.rendezvous import (
    NO_KEY,
    NO_NUMBER,
    ROWS,
    Candidate,
    Indices,
    Ranker,
    RowNumbers,
    insert,
    is_weighted,
    lowest_keys,
    numbers_of,
    row_seeds,
    settle,
    sift,
)
from glb.hashing.siphash import Words

Keys = npt.NDArray[np.uint64]

_NO_NARROW_NUMBER = NO_NUMBER & 0xFF


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The first candidates of each row in rendezvous order, as keys (see `rendezvous`).

    `candidates` are by number, as in the keys. `lowest` is (kept, 65536), sorted by column: of each row, the first
    `wanted` candidates, or all if there are fewer, and as many more as are known. `limit`, 65,536 keys, is how far a
    row is known: any key below it is in `lowest`. `ranker` computes hashes; None: numpy.
    """

    seed: bytes
    weighted: bool
    candidates: Mapping[int, Candidate]
    wanted: int
    seeds: Words
    lowest: Keys
    limit: Words
    ranker: Ranker | None = None

    @classmethod
    def of(
        cls,
        candidates: Sequence[Candidate],
        seed: bytes,
        wanted: int,
        spare: int = 0,
        ranker: Ranker | None = None,
    ) -> Self:
        """Rank the candidates, which must differ, numbered in their order.

        Of each row, `spare` more than wanted are kept. Raises ValueError if the seed is not 16 bytes long.
        """
        numbered = dict(enumerate(candidates))
        weighted = is_weighted(candidates)
        seeds = row_seeds(seed)
        keys = lowest_keys(seeds, numbered, seed, weighted, wanted + spare + 1, ranker)
        return cls(seed, weighted, numbered, wanted, seeds, keys[:-1], keys[-1], ranker)

    @property
    def nbytes(self) -> int:
        """The memory that this takes."""
        return self.lowest.nbytes + self.limit.nbytes + self.seeds.nbytes

    def changed(self, candidates: Sequence[Candidate]) -> "Ranking":
        """The ranking of other candidates: the same as that of `of`, but those that stay are not hashed again.

        Weights must make a difference between both the old and the new ones, or between neither.
        """
        staying = set(candidates)
        gone = [number for number, candidate in self.candidates.items() if candidate not in staying]
        numbered = {number: candidate for number, candidate in self.candidates.items() if candidate in staying}
        known = set(numbered.values())
        new = _numbered([candidate for candidate in candidates if candidate not in known], numbered)
        lowest, limit = _without(self.lowest, gone), self.limit.copy()
        for number, candidate in new.items():
            keys = lowest_keys(self.seeds, {number: candidate}, self.seed, self.weighted, 1, self.ranker)[0]
            keys[keys >= limit] = NO_KEY
            np.minimum(limit, insert(lowest, keys), out=limit)
        ranking = replace(self, candidates=numbered | new, lowest=lowest, limit=limit)
        ranking._complete()
        return ranking

    def _complete(self) -> None:
        """Rank anew the rows of which too little is known; only before this ranking is shared."""
        rows = np.flatnonzero((self.lowest[self.wanted - 1] == NO_KEY) & (self.limit != NO_KEY))
        if rows.size:
            best = len(self.lowest) + 1
            keys = lowest_keys(self.seeds[rows], self.candidates, self.seed, self.weighted, best, self.ranker)
            self.lowest[:, rows], self.limit[rows] = keys[:-1], keys[-1]

    def members(self) -> Indices:
        """The numbers of each row's first `wanted` candidates, or all if there are fewer: (n, 65536), best first."""
        kept = min(self.wanted, len(self.candidates))
        behind = self.lowest[kept] if kept < len(self.lowest) else self.limit
        keys = np.vstack((self.lowest[:kept], np.minimum(behind, self.limit)))
        return settle(keys, np.arange(ROWS), self.candidates, self.seed, self.weighted)[:kept]

    def order(self) -> "Order":
        """All that is known of the candidates' order, in a tenth of the memory."""
        keys = np.vstack((self.lowest, self.limit))
        np.minimum(keys, self.limit, out=keys)
        numbers = settle(keys, np.arange(ROWS), self.candidates, self.seed, self.weighted)[:-1]
        numbers[keys[:-1] == self.limit] = NO_NUMBER
        return Order(self.seed, self.weighted, self.candidates, self.wanted, _narrow(numbers, self.candidates))


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """The first candidates of each row in rendezvous order, by number.

    numbers: (kept, 65536), of one byte each where that is enough; the highest value where none is known or left. The
    first `wanted` of each row are known, or all if there are fewer.
    """

    seed: bytes
    weighted: bool
    candidates: Mapping[int, Candidate]
    wanted: int
    numbers: npt.NDArray[np.uint8] | Indices

    @property
    def nbytes(self) -> int:
        """The memory that this takes."""
        return self.numbers.nbytes

    def members(self) -> Indices:
        """As Ranking.members."""
        return self.numbers[: min(self.wanted, len(self.candidates))].astype(np.uint16)

    def first_of(self, rows: RowNumbers, chosen: Iterable[int]) -> Indices:
        """The number of the first of some candidates, given by number and at least one, in each of n rows."""
        among = {number: self.candidates[number] for number in chosen}
        is_chosen = np.zeros(NO_NUMBER + 1, np.bool_)
        is_chosen[list(among)] = True
        numbers = self._known(rows)
        hits = is_chosen[numbers]
        found: Indices = np.take_along_axis(numbers, hits.argmax(axis=0)[np.newaxis], axis=0)[0]
        unknown = rows[~hits.any(axis=0)]
        if unknown.size:
            keys = lowest_keys(row_seeds(self.seed, unknown), among, self.seed, self.weighted, 2)
            found[~hits.any(axis=0)] = settle(keys, unknown, among, self.seed, self.weighted)[0]
        return found

    def _known(self, rows: RowNumbers) -> Indices:
        """(kept, n), NO_NUMBER where none is known or left."""
        numbers = self.numbers[:, rows].astype(np.uint16)
        if self.numbers.dtype == np.uint8:
            numbers[numbers == _NO_NARROW_NUMBER] = NO_NUMBER
        return numbers


def _narrow(numbers: Indices, candidates: Mapping[int, Candidate]) -> npt.NDArray[np.uint8] | Indices:
    return numbers.astype(np.uint8) if max(candidates) < _NO_NARROW_NUMBER else numbers


def _numbered(new: Sequence[Candidate], taken: Mapping[int, Candidate]) -> dict[int, Candidate]:
    """The new candidates with the lowest numbers that are not taken."""
    free = (number for number in range(NO_NUMBER) if number not in taken)
    return dict(zip(free, new, strict=False))


def _without(lowest: Keys, gone: Sequence[int]) -> Keys:
    """A copy in which the others have closed up."""
    left = lowest.copy()
    is_gone = np.zeros(NO_NUMBER + 1, np.bool_)
    is_gone[list(gone)] = True
    lost = is_gone[numbers_of(lowest)]
    rows = np.flatnonzero(lost.any(axis=0))
    part = left[:, rows]
    part[lost[:, rows]] = NO_KEY
    for _ in range(min(len(gone), len(part))):
        sift(part)
    left[:, rows] = part
    return left
