"""SipHash-2-4, one message at a time in plain Python, or many at once in numpy.

Source: Aumasson & Bernstein, "SipHash: a fast short-input PRF", 2012.
"""

from typing import Self

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

KEY_BYTES = 16
INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
MASK = (1 << 64) - 1

# Messages that are hashed together: the four state words and a scratch word of each fit in a core's second-
# level cache.
CHUNK = 4096


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


class SipLanes:
    """The state of n hashes that are computed side by side, changed in place."""

    def __init__(self, key: bytes, count: int) -> None:
        self._state: Words = np.empty((4, count), np.uint64)
        self._state.T[:] = initial_state(key)
        self._scratch: Words = np.empty(count, np.uint64)

    def restart_from(self, other: Self) -> None:
        """Go on from where `other` is: hashes with a common beginning compute that only once."""
        np.copyto(self._state, other._state)

    def absorb(self, word: Words | np.uint64) -> None:
        """Take in the next word of each message, or one word that they all have."""
        self._state[3] ^= word
        self._round()
        self._round()
        self._state[0] ^= word

    def finish(self) -> Words:
        """The n results, valid until the lanes are used again."""
        v0, v1, v2, v3 = self._state
        v2 ^= np.uint64(0xFF)
        for _ in range(4):
            self._round()
        for word in (v1, v2, v3):
            v0 ^= word
        hashes: Words = v0
        return hashes

    def _round(self) -> None:
        v0, v1, v2, v3 = self._state
        v0 += v1
        self._rotate(v1, 13)
        v1 ^= v0
        self._rotate(v0, 32)
        v2 += v3
        self._rotate(v3, 16)
        v3 ^= v2
        v0 += v3
        self._rotate(v3, 21)
        v3 ^= v0
        v2 += v1
        self._rotate(v1, 17)
        v1 ^= v2
        self._rotate(v2, 32)

    def _rotate(self, word: Words, bits: int) -> None:
        np.left_shift(word, np.uint64(bits), out=self._scratch)
        np.right_shift(word, np.uint64(64 - bits), out=word)
        np.bitwise_or(word, self._scratch, out=word)
