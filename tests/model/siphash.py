# SPDX-License-Identifier: MIT
"""SipHash-2-4 (Aumasson and Bernstein, 2012), as plainly as the paper has it."""

from functools import lru_cache

MASK = 0xFFFF_FFFF_FFFF_FFFF


@lru_cache(maxsize=1 << 16)
def siphash(key: bytes, data: bytes) -> int:
    """The 64-bit result; its little-endian encoding is the output in bytes."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = (k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573)
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v = sip_rounds((v[0], v[1], v[2], v[3] ^ word), 2)
        v = (v[0] ^ word, v[1], v[2], v[3])
    v = sip_rounds((v[0], v[1], v[2] ^ 0xFF, v[3]), 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def sip_rounds(v: tuple[int, int, int, int], count: int) -> tuple[int, int, int, int]:
    v0, v1, v2, v3 = v
    for _ in range(count):
        v0 = (v0 + v1) & MASK
        v1 = ((v1 << 13 | v1 >> 51) & MASK) ^ v0
        v0 = (v0 << 32 | v0 >> 32) & MASK
        v2 = (v2 + v3) & MASK
        v3 = ((v3 << 16 | v3 >> 48) & MASK) ^ v2
        v0 = (v0 + v3) & MASK
        v3 = ((v3 << 21 | v3 >> 43) & MASK) ^ v0
        v2 = (v2 + v1) & MASK
        v1 = ((v1 << 17 | v1 >> 47) & MASK) ^ v2
        v2 = (v2 << 32 | v2 >> 32) & MASK
    return v0, v1, v2, v3
