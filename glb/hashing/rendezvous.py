"""The order of preference that each row of a table gives the backends.

Each row ranks the backends by a hash of row and backend, so a backend that comes or goes moves none of the
others past one another. Source: Thaler & Ravishankar, "Using name-based mappings to increase hit rates",
1998.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import numpy as np
import numpy.typing as npt

from glb.hashing.siphash import CHUNK, SipLanes, Words, message_words, siphash24_many

Address = IPv4Address | IPv6Address
Indices = npt.NDArray[np.uint16]

ROWS = 65536
ROW_SEED_BYTES = 8


def rank(addresses: Sequence[Address], seed: bytes, best: int | None = None) -> Indices:
    """Rank the addresses in each row.

    Returns a (65536, n) array of indices into `addresses`, dtype uint16, best first; of its columns only
    the first `best` if that is given. Equal weights, which do not happen in practice, keep the order of
    `addresses`. Raises ValueError if the seed is not 16 bytes long.
    """
    kept = len(addresses) if best is None else min(best, len(addresses))
    ranking = np.empty((ROWS, kept), np.uint16)
    seeds = row_seeds(seed)
    for start in range(0, ROWS, CHUNK):
        weights = _weights(seeds[start : start + CHUNK], addresses, seed)
        ranking[start : start + CHUNK] = _lowest(weights, kept)
    return ranking


def row_seeds(seed: bytes) -> Words:
    """Each row's own seed: the hash of its number, as a big-endian 32-bit integer."""
    numbers = np.arange(ROWS, dtype=">u4")
    return siphash24_many(seed, numbers.view(np.uint8).reshape(ROWS, 4))


def _weights(seeds: Words, addresses: Sequence[Address], seed: bytes) -> Words:
    """The (addresses, rows) weights of some rows: the less, the better."""
    common, lanes = SipLanes(seed, len(seeds)), SipLanes(seed, len(seeds))
    common.absorb(seeds)
    weights = np.empty((len(addresses), len(seeds)), np.uint64)
    for address, weight in zip(addresses, weights, strict=True):
        lanes.restart_from(common)
        for word in message_words(address.packed, before=ROW_SEED_BYTES):
            lanes.absorb(np.uint64(word))
        # The hash's bytes are little-endian, and they are compared as a big-endian integer.
        weight[:] = lanes.finish().byteswap()
    return weights


def _lowest(weights: Words, count: int) -> Indices:
    """The (rows, count) indices of the lowest of (addresses, rows) weights, lowest first."""
    by_row = np.ascontiguousarray(weights.T)
    return np.argsort(by_row, axis=1, kind="stable")[:, :count].astype(np.uint16)
