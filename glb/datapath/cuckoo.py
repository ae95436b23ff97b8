# SPDX-License-Identifier: MIT
"""The hash table of binds: each entry is at one of two positions (cuckoo hashing).

So the datapath reads at most two cache lines. Source: Pagh & Rodler, "Cuckoo hashing", 2004.
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
_EMPTY = -1
_WORD_BITS = 64
_FAMILY_SHIFT, _FAMILY_MASK = np.uint64(24), np.uint64(0x7F)  # in the selector; FRAGMENTS is above


def arrange(keys: Words, size: int) -> tuple[int, Places]:
    """Assign a position to each key.

    keys: (n, 3) uint64, no two alike: an address's two words, and port, protocol and family as they follow it in struct
    bind_key; size: of the table, a power of two, at least 2 n. Returns the hash's multiplier, and the key's number at
    each position (-1 if it is empty), shape (size,).
    Raises DatapathError if no multiplier works, which does not happen with distinct keys.
    """
    for multiplier in _multipliers():
        arranged = _arrange(choices(keys, size, multiplier).tolist(), size)
        if arranged is not None:
            return multiplier, np.array(arranged, dtype=np.int64)
    raise DatapathError(f"{len(keys)} binds do not fit into a hash table of {size}: is a bind listed twice?")


def choices(keys: Words, size: int, multiplier: int) -> Places:
    """The two positions of each key, in the order of lookup: (n, 2)."""
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
    table = [_EMPTY] * size
    for key in range(len(places)):
        if not _insert(table, places, key):
            return None
    return table


def _insert(table: list[int], places: Sequence[Sequence[int]], key: int) -> bool:
    """Put the key at its first position; a key that was there moves to its other position, and so on."""
    if table[places[key][0]] != _EMPTY and table[places[key][1]] == _EMPTY:
        table[places[key][1]] = key
        return True
    place = places[key][0]
    for _ in range(_MOST_MOVES):
        key, table[place] = table[place], key
        if key == _EMPTY:
            return True
        first, second = places[key]
        place = second if place == first else first
    return False
