# SPDX-License-Identifier: MIT
"""The hash table in which the director finds binds: each entry stands at one of two places (cuckoo hashing).

So the datapath looks at two cache lines at most. Source: Pagh & Rodler, "Cuckoo hashing", 2004.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from glb.errors import DatapathError

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

# HASH_1 to HASH_3 in bpf/bind.h.
_CONSTANTS = (0x243F6A8885A308D3, 0x13198A2E03707345, 0xA4093822299F31D1)
_MOST_MOVES = 64
_MOST_TRIES = 32
_NOBODY = -1
_WORD_BITS = 64
_FAMILY_SHIFT, _FAMILY_MASK = np.uint64(24), np.uint64(0x7F)  # in the selector; FRAGMENTS is above


def arrange(keys: Words, size: int) -> tuple[int, Places]:
    """Find a place for each key.

    keys: (n, 3) uint64, no two alike: an address's two words, and port, protocol and family as they follow it in struct
    bind_key; size: of the table, a power of two, at least 2 n. Returns the hash's multiplier, and the key's number at
    each place (-1 where there is none), shape (size,).
    Raises DatapathError where no multiplier does, which does not happen with distinct keys.
    """
    for multiplier in _multipliers():
        arranged = _arrange(choices(keys, size, multiplier).tolist(), size)
        if arranged is not None:
            return multiplier, np.array(arranged, dtype=np.int64)
    raise DatapathError(f"{len(keys)} binds find no place in a table of {size}: is one of them there twice?")


def choices(keys: Words, size: int, multiplier: int) -> Places:
    """The two places of each key, the one that is looked at first in front: (n, 2)."""
    first, second, third = (np.uint64(constant) for constant in _CONSTANTS)
    shift = np.uint64(_WORD_BITS - (size - 1).bit_length())
    high, low, selector = keys.T
    family = selector >> _FAMILY_SHIFT & _FAMILY_MASK
    address = np.where(family == 6, (high * first + low) * second, high)
    hashes = (address + (selector << np.uint64(32))) * np.uint64(multiplier)
    others = (hashes ^ hashes >> np.uint64(32)) * third
    return np.stack((hashes >> shift, others >> shift), axis=1).astype(np.int64)


def _multipliers() -> Iterator[int]:
    """Odd, so that no two words have the same product."""
    return (_CONSTANTS[-1] * number % (1 << _WORD_BITS) for number in range(1, 2 * _MOST_TRIES, 2))


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
