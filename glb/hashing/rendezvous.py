# SPDX-License-Identifier: MIT
"""The order of preference that each row of a table gives the backends.

Each row ranks the backends by a score made of a hash of row and backend, the lowest first, so a backend that comes or
goes moves none of the others past one another. Source: Thaler & Ravishankar, "Using name-based mappings to increase
hit rates", 1998.

Where all backends weigh the same, the score is the hash, a whole number, as in GitHub's tables. Otherwise it is
-ln(1 - hash / 2^64) / weight: each backend then comes first in as many rows as its weight is of all weights. Source:
Schindelhauer & Schomaker, "Weighted distributed hash tables", 2005.

numpy, and a `Ranker` in its place, work on keys instead of scores: a score's upper 48 bits with the backend's number
behind them, so that the order of keys, a single word each, is the order of backends. Where two scores differ by less
than their upper bits or floating point can show, plain Python settles the row: see `settle`.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from glb.hashing.siphash import CHUNK, SipBranches, Words, message_words, siphash24, siphash24_many

Indices = npt.NDArray[np.uint16]
RowNumbers = npt.NDArray[np.intp]
AnyWord = TypeVar("AnyWord", np.uint32, np.uint64)

ROWS = 65536
ROW_SEED_BYTES = 8

NO_NUMBER = 0xFFFF
NUMBER_BITS = np.uint64(16)
SCORE_MASK = np.uint64(0xFFFF_FFFF_FFFF_0000)
NO_KEY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
"""Behind every other key: there is no further backend, or none that is known."""

NEAR = 1
"""Scores whose upper 48 bits differ by no more than this may be in another order than their keys."""

LEAST_WEIGHT = 1e-9
"""A backend of a lower weight counts as of this one: neither would come first in any row beside one of weight 1."""

# From here on 1 - hash / 2^64 is worked out in whole numbers: floating point would lose too much of it.
NEAR_ONE = np.uint64(2**64 - 2**52)

EXACT = Context(prec=50)

# Columns are picked out, and put back, where they are fewer than this part of all.
FEW = 4


class Candidate(NamedTuple):
    """A backend as rendezvous hashing sees it: its address, 4 or 16 bytes, and its weight."""

    address: bytes
    weight: float = 1.0


def is_weighted(candidates: Sequence[Candidate]) -> bool:
    """Whether weights make a difference between these."""
    return len({candidate.weight for candidate in candidates}) > 1


def row_seeds(seed: bytes, rows: RowNumbers | None = None) -> Words:
    """Each row's own seed: the hash of its number, as a big-endian 32-bit integer. rows: of these alone.

    Raises ValueError if the seed is not 16 bytes long.
    """
    numbers = (np.arange(ROWS) if rows is None else rows).astype(">u4")
    return siphash24_many(seed, numbers.view(np.uint8).reshape(-1, 4))


class Ranker(Protocol):
    """What may do numpy's work faster: glb/native/."""

    def insert(
        self,
        key: bytes,
        seeds: Words,
        numbers: Words,
        ends: Words,
        weights: npt.NDArray[np.float64] | None,
        lowest: npt.NDArray[np.uint64],
    ) -> None:
        """Put the keys of n candidates into those of each row: `lowest`, (rows, best), each row sorted, in place.

        seeds: of the rows. numbers: the candidates'. ends: the last words of their messages, (n, words). weights:
        None where they make no difference. A weighted score has a relative error of 2^-40 at most.
        """


def lowest_keys(
    seeds: Words,
    candidates: Mapping[int, Candidate],
    seed: bytes,
    weighted: bool,
    best: int,
    ranker: Ranker | None = None,
) -> npt.NDArray[np.uint64]:
    """The lowest keys of some rows, given by their seeds.

    `candidates` are by number, 0 to 65,534. Returns a (best, rows) array, lowest first, NO_KEY where there are no
    further candidates. ranker: None means numpy.
    """
    if ranker is None:
        return _lowest_by_numpy(seeds, candidates, seed, weighted, best)
    lowest = np.full((len(seeds), best), NO_KEY)
    for batch in _batches(candidates, size=NO_NUMBER):
        weights = batch.weights[:, 0] if weighted else None
        ranker.insert(seed, seeds, batch.numbers[:, 0], batch.ends, weights, lowest)
    return np.ascontiguousarray(lowest.T)


def _lowest_by_numpy(
    seeds: Words, candidates: Mapping[int, Candidate], seed: bytes, weighted: bool, best: int
) -> npt.NDArray[np.uint64]:
    lowest = np.full((best, len(seeds)), NO_KEY)
    together = max(1, CHUNK // max(1, len(seeds)))
    batches = list(_batches(candidates, together))
    for start in range(0, len(seeds), CHUNK):
        part = slice(start, start + CHUNK)
        branches = SipBranches(seed, seeds[part], together)
        chosen = np.ascontiguousarray(lowest[:, part])
        filled = 0
        for batch in batches:
            for keys in _keys(branches, batch, weighted):
                filled += 1
                _insert_where_lower(chosen[:filled], keys)
        lowest[:, part] = chosen
    return lowest


def _insert_where_lower(lowest: npt.NDArray[np.uint64], keys: Words) -> None:
    """As `insert`; of many candidates, a late one is among the lowest of few rows only, and others are passed over."""
    columns = np.flatnonzero(keys < lowest[-1])
    if columns.size > keys.size // FEW:
        insert(lowest, keys)
        return
    part = lowest[:, columns]
    insert(part, keys[columns])
    lowest[:, columns] = part


class _Batch(NamedTuple):
    """Candidates that are hashed together: numbers and weights, (n, 1), and the last words of messages, (n, words)."""

    numbers: Words
    weights: npt.NDArray[np.float64]
    ends: Words


def _batches(candidates: Mapping[int, Candidate], size: int) -> Iterator[_Batch]:
    """All candidates, up to `size` at once, whose messages are of one length."""
    for length in (4, 16):
        alike = [(number, candidate) for number, candidate in candidates.items() if len(candidate.address) == length]
        for start in range(0, len(alike), size):
            numbers, chosen = zip(*alike[start : start + size], strict=True)
            yield _Batch(
                np.array(numbers, np.uint64)[:, np.newaxis],
                np.array([max(candidate.weight, LEAST_WEIGHT) for candidate in chosen])[:, np.newaxis],
                np.array([message_words(candidate.address, before=ROW_SEED_BYTES) for candidate in chosen], np.uint64),
            )


def insert(lowest: npt.NDArray[np.uint64], keys: Words) -> Words:
    """Put one key into each column of `lowest`, which stays sorted, in place; returns what falls out at the end."""
    rest, spare = keys, np.empty_like(keys)
    for place in lowest:
        np.maximum(place, rest, out=spare)
        np.minimum(place, rest, out=place)
        rest, spare = spare, rest
    return rest


def sift(rows: npt.NDArray[AnyWord]) -> None:
    """Carry the highest of each column to its end, in place: one pass of a bubble sort."""
    for lower, upper in pairwise(rows):
        first = np.minimum(lower, upper)
        np.maximum(lower, upper, out=upper)
        lower[:] = first


def _keys(branches: SipBranches, batch: _Batch, weighted: bool) -> Words:
    """The (candidates, rows) keys of a batch."""
    # The hash's bytes are little-endian, and they are compared as a big-endian integer.
    keys: Words = branches.hashes(batch.ends).byteswap()
    if weighted:
        keys = _scores(keys, batch.weights).view(np.uint64)
    np.bitwise_and(keys, SCORE_MASK, out=keys)
    np.bitwise_or(keys, batch.numbers, out=keys)
    return keys


def _scores(hashes: Words, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """-ln(1 - hash / 2^64) / weight, to a relative error of 2^-40; not negative, so in the order of its bits."""
    scores = hashes.astype(np.float64)
    scores *= -(2.0**-64)
    near_one = hashes >= NEAR_ONE
    scores[near_one] = -0.5
    np.log1p(scores, out=scores)
    scores[near_one] = np.log(((NO_KEY - hashes[near_one]).astype(np.float64) + 1) * 2.0**-64)
    scores /= -weights
    return np.abs(scores)


def numbers_of(keys: npt.NDArray[np.uint64]) -> Indices:
    """The candidates' numbers in keys; NO_NUMBER in NO_KEY."""
    return keys.astype(np.uint16)


def settle(
    keys: npt.NDArray[np.uint64], rows: RowNumbers, candidates: Mapping[int, Candidate], seed: bytes, weighted: bool
) -> Indices:
    """The candidates' numbers in exact order, given the lowest keys of some rows.

    `keys` is (best, rows), as of `lowest_keys`, `rows` are the rows' numbers. A row in which two neighbours are near
    one another is ranked anew by `rank_exactly`, which is slow, but it is one row in 10^9 or fewer. The last key says
    only how near its candidate is to the one before: that there is none nearer behind it is not known here.
    """
    numbers = numbers_of(keys)
    for position in _unsettled(keys):
        known = np.count_nonzero(keys[:, position] != NO_KEY)
        exact = rank_exactly(int(rows[position]), candidates, seed, weighted)[:known]
        numbers[: len(exact), position] = exact
    return numbers


def _unsettled(keys: npt.NDArray[np.uint64]) -> RowNumbers:
    """The positions of rows in which two keys are too near one another."""
    found = np.zeros(keys.shape[1], np.bool_)
    scores = keys >> NUMBER_BITS
    for place in range(1, len(keys)):
        near = scores[place] - scores[place - 1] <= np.uint64(NEAR)
        if near.any():
            found |= near & (keys[place] != keys[place - 1])
    return np.flatnonzero(found)


def rank_exactly(row: int, candidates: Mapping[int, Candidate], seed: bytes, weighted: bool) -> list[int]:
    """The numbers of all candidates in the order of one row; for equal scores, in the order of their addresses."""
    row_seed = siphash24(seed, row.to_bytes(4, "big"))

    def place(number: int) -> tuple[Decimal | int, int, bytes]:
        address, weight = candidates[number]
        hashed = int.from_bytes(siphash24(seed, row_seed + address), "big")
        return _exact_score(hashed, weight) if weighted else hashed, hashed, address

    return sorted(candidates, key=place)


def _exact_score(hashed: int, weight: float) -> Decimal:
    """The same for the same weight and hash, and in the order of the hashes for the same weight."""
    logarithm = EXACT.ln(EXACT.divide(Decimal(2**64 - hashed), Decimal(2**64)))
    return EXACT.divide(-logarithm, Decimal(max(weight, LEAST_WEIGHT)))
