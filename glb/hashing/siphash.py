# SPDX-License-Identifier: MIT
"""SipHash-2-4, one message at a time in plain Python, or many at once in numpy.

Source: Aumasson & Bernstein, "SipHash: a fast short-input PRF", 2012.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

KEY_BYTES = 16
INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
MASK = (1 << 64) - 1

# Messages that are hashed together. Their state words and a scratch word, 40 bytes each, should stay in a core's
# second-level cache or just above it; numpy takes as long to begin with an array as it takes for some 1,000 words, and
# holds Python's lock meanwhile: with fewer, two threads are hardly faster than one.
CHUNK = 32768


def siphash24(key: bytes, data: bytes) -> bytes:
    """Hash one message: the 8 bytes are the little-endian encoding of the 64-bit result.

    Raises ValueError if the key is not 16 bytes long.
    """
    v0, v1, v2, v3 = initial_state(key)
    for word in message_words(data):
        v0, v1, v2, v3 = _round(*_round(v0, v1, v2, v3 ^ word))
        v0 ^= word
    v2 ^= 0xFF
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return (v0 ^ v1 ^ v2 ^ v3).to_bytes(8, "little")


def siphash24_many(key: bytes, messages: npt.NDArray[np.uint8]) -> Words:
    """Hash many messages of one length: (n, length) bytes give the n 64-bit results.

    Raises ValueError if the key is not 16 bytes long.
    """
    count, length = messages.shape
    padded = np.zeros((count, length // 8 + 1, 8), np.uint8)
    padded.reshape(count, -1)[:, :length] = messages
    padded[:, -1, -1] = length & 0xFF
    words = padded.view("<u8").reshape(count, -1)
    hashes = np.empty(count, np.uint64)
    for start in range(0, count, CHUNK):
        chunk = words[start : start + CHUNK]
        lanes = SipLanes(key, len(chunk))
        for column in np.ascontiguousarray(chunk.T):
            lanes.absorb(column)
        hashes[start : start + CHUNK] = lanes.finish()
    return hashes


def initial_state(key: bytes) -> tuple[int, int, int, int]:
    """The four state words before the first word of a message."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a SipHash key is {KEY_BYTES} bytes long, not {len(key)}")
    halves = (int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little"))
    v0, v1, v2, v3 = (word ^ halves[i % 2] for i, word in enumerate(INITIAL))
    return v0, v1, v2, v3


@lru_cache
def state_ahead(key: bytes) -> tuple[int, int, int, int]:
    """The four state words before the first word of a message, after the part of the first round that no message
    changes."""
    v0, v1, v2, v3 = initial_state(key)
    v0 = (v0 + v1) & MASK
    return _rotate(v0, 32), _rotate(v1, 13) ^ v0, v2, v3


def message_words(data: bytes, before: int = 0) -> list[int]:
    """A message as SipHash takes it: little-endian words, with its length in the last one's top byte.

    `before` is the length of what came ahead of `data` in the same message, a multiple of 8 bytes.
    """
    padded = data.ljust(len(data) // 8 * 8 + 7, b"\0") + bytes([(before + len(data)) & 0xFF])
    return [int.from_bytes(padded[i : i + 8], "little") for i in range(0, len(padded), 8)]


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & MASK
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 = (v2 + v3) & MASK
    v3 = _rotate(v3, 16) ^ v2
    v0 = (v0 + v3) & MASK
    v3 = _rotate(v3, 21) ^ v0
    v2 = (v2 + v1) & MASK
    v1 = _rotate(v1, 17) ^ v2
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & MASK


def _word(value: int) -> Words:
    """A number as an array without dimensions, which numpy takes up faster than a scalar."""
    return np.array(value, np.uint64)


SHIFTS = {bits: (_word(bits), _word(64 - bits)) for bits in (13, 16, 17, 21, 32)}
FINAL_MARK = _word(0xFF)


class SipLanes:
    """The state of n hashes that are computed side by side, changed in place."""

    def __init__(self, key: bytes, count: int) -> None:
        self._state = tuple(np.full(count, word, np.uint64) for word in initial_state(key))
        self._scratch: Words = np.empty(count, np.uint64)

    def absorb(self, word: Words) -> None:
        """Take in the next word of each message."""
        v0, _, _, v3 = self._state
        np.bitwise_xor(v3, word, v3)
        self._round()
        self._round()
        np.bitwise_xor(v0, word, v0)

    def finish(self) -> Words:
        """The n results, valid until the lanes are used again."""
        v0, v1, v2, v3 = self._state
        np.bitwise_xor(v2, FINAL_MARK, v2)
        for _ in range(3):
            self._round()
        # The fourth round and the sum of its words. v0 occurs in it twice and cancels itself out.
        self._mix(v0, v1, 13)
        self._mix(v2, v3, 16)
        np.add(v2, v1, v2)
        self._rotate(v1, 17)
        self._rotate(v3, 21)
        np.bitwise_xor(v1, v3, v1)
        np.bitwise_xor(v1, v2, v1)
        self._rotate(v2, 32)
        np.bitwise_xor(v1, v2, v1)
        hashes: Words = v1
        return hashes

    def _round(self) -> None:
        v0, v1, v2, v3 = self._state
        self._mix(v0, v1, 13)
        self._rotate(v0, 32)
        self._mix(v2, v3, 16)
        self._mix(v0, v3, 21)
        self._mix(v2, v1, 17)
        self._rotate(v2, 32)

    def _mix(self, total: Words, word: Words, bits: int) -> None:
        np.add(total, word, total)
        self._rotate(word, bits)
        np.bitwise_xor(word, total, word)

    def _rotate(self, word: Words, bits: int) -> None:
        left, right = SHIFTS[bits]
        np.left_shift(word, left, self._scratch)
        np.right_shift(word, right, word)
        np.bitwise_or(word, self._scratch, word)


class SipBranches(SipLanes):
    """Hashes of messages with n beginnings and various ends; the beginnings are computed only once.

    The round that follows the beginning mixes the end's first word into half of the state; the other half of that
    round is computed once, too.
    """

    def __init__(self, key: bytes, beginnings: Words, most_ends: int) -> None:
        """`beginnings` are the messages' first words; of ends, there are up to `most_ends` at once."""
        super().__init__(key, len(beginnings))
        self.absorb(beginnings)
        v0, v1, v2, v3 = self._state
        self._v2, self._v3 = v2.copy(), v3.copy()
        self._mix(v0, v1, 13)
        self._rotate(v0, 32)
        self._v0, self._v1 = v0.copy(), v1.copy()
        self._rotate(v1, 17)
        self._rotate(v3, 16)
        self._rotated_v1, self._rotated_v3 = v1.copy(), v3.copy()
        self._room: Words = np.empty((5, most_ends, len(beginnings)), np.uint64)

    def hashes(self, ends: Words) -> Words:
        """The results for messages that end in these words: (m, words) give (m, n), valid until the next call."""
        *state, self._scratch = self._room[:, : len(ends)]
        self._state = tuple(state)
        first, *others = ends.T[:, :, np.newaxis]
        self._branch(first)
        for word in others:
            self.absorb(word)
        return self.finish()

    def _branch(self, word: Words) -> None:
        """Take in a word from where the beginnings are, as `absorb` does."""
        v0, v1, v2, v3 = self._state
        rotated = word << SHIFTS[16][0] | word >> SHIFTS[16][1]
        np.bitwise_xor(self._v3, word, v3)
        np.add(self._v2, v3, v2)
        np.bitwise_xor(self._rotated_v3, rotated, v3)
        np.bitwise_xor(v3, v2, v3)
        np.add(self._v0, v3, v0)
        self._rotate(v3, 21)
        np.bitwise_xor(v3, v0, v3)
        np.add(v2, self._v1, v2)
        np.bitwise_xor(self._rotated_v1, v2, v1)
        self._rotate(v2, 32)
        self._round()
        np.bitwise_xor(v0, word, v0)
