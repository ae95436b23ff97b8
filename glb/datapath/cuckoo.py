"""The hash table in which the director finds binds: each entry stands at one of two places (cuckoo hashing).

So the datapath looks at two cache lines at most. Source: Pagh & Rodler, "Cuckoo hashing", 2004.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from glb.datapath.errors import DatapathError

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

# HASH_1 to HASH_4 in bpf/bind.h.
_MULTIPLIERS = (0x243F6A8885A308D3, 0x13198A2E03707345, 0xA4093822299F31D1, 0x082EFA98EC4E6C89)
_MOST_MOVES = 64
_MOST_SEEDS = 32
_NOBODY = -1


def arrange(keys: Words, size: int) -> tuple[int, Places]:
    """Find a place for each key.

    keys: (n, 3) uint64, the words of struct bind_key, no two alike; size: of the table, a power of two, at least
    2 n. Returns the hash's seed, and the key's number at each place (-1 where there is none), shape (size,).
    Raises DatapathError where no seed does, which does not happen with distinct keys.
    """
    for seed in range(_MOST_SEEDS):
        arranged = _arrange(choices(keys, size, seed).tolist(), size)
        if arranged is not None:
            return seed, np.array(arranged, dtype=np.int64)
    raise DatapathError(f"{len(keys)} binds find no place in a table of {size}: is one of them there twice?")


def choices(keys: Words, size: int, seed: int) -> Places:
    """The two places of each key, the one that is looked at first in front: (n, 2)."""
    first, second, third, last = (np.uint64(multiplier) for multiplier in _MULTIPLIERS)
    hashes = np.uint64(seed) + keys[:, 0] * first + keys[:, 1] * second + keys[:, 2] * third
    hashes = (hashes ^ hashes >> np.uint64(32)) * last
    mask = np.uint64(size - 1)
    return np.stack((hashes >> np.uint64(32) & mask, hashes & mask), axis=1).astype(np.int64)


def _arrange(places: Sequence[Sequence[int]], size: int) -> list[int] | None:
    table = [_NOBODY] * size
    for key in range(len(places)):
        if not _insert(table, places, key):
            return None
    return table


def _insert(table: list[int], places: Sequence[Sequence[int]], key: int) -> bool:
    """Put the key at its first place; whoever was there moves to its other one, and so on."""
    if table[places[key][0]] != _NOBODY and table[places[key][1]] == _NOBODY:
        table[places[key][1]] = key
        return True
    place = places[key][0]
    for _ in range(_MOST_MOVES):
        key, table[place] = table[place], key
        if key == _NOBODY:
            return True
        first, second = places[key]
        place = second if place == first else first
    return False
