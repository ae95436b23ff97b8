# SPDX-License-Identifier: MIT
"""The Internet checksum (RFC 1071) and its update in place (RFC 1624, equation 3)."""

import struct


def fold(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def words(data: bytes) -> tuple[int, ...]:
    padded = data + bytes(len(data) % 2)
    return struct.unpack(f"!{len(padded) // 2}H", padded)


def checksum(data: bytes) -> int:
    return ~fold(sum(words(data))) & 0xFFFF


def updated(check: int, before: bytes, after: bytes) -> int:
    """The checksum after `before`, which it covers, became `after`."""
    return ~fold((~check & 0xFFFF) + sum(~word & 0xFFFF for word in words(before)) + sum(words(after))) & 0xFFFF


def pseudo_header(src: bytes, dst: bytes, protocol: int, length: int) -> bytes:
    """What TCP, UDP and ICMPv6 checksums cover in front of the packet."""
    return src + dst + struct.pack("!IHBB", length, 0, 0, protocol)
