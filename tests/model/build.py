# SPDX-License-Identifier: MIT
"""Headers made by hand, quickly: the material of random packets. Lengths and checksums are correct unless given."""

import struct

from .checksum import checksum, pseudo_header
from .headers import ICMP, ICMPV6, TCP, UDP

ETHERTYPE = {4: 0x0800, 6: 0x86DD}


def ethernet(dst: bytes, src: bytes, ethertype: int, tags: tuple[tuple[int, int], ...] = ()) -> bytes:
    """`tags` are pairs of a tag's EtherType and its control information, outermost first."""
    stack = b"".join(struct.pack("!HH", *tag) for tag in tags)
    return dst + src + stack + struct.pack("!H", ethertype)


def ipv4(
    src: bytes,
    dst: bytes,
    protocol: int,
    payload: bytes,
    tos: int = 0,
    ttl: int = 64,
    ident: int = 0,
    fragment: int = 0,
    options: bytes = b"",
) -> bytes:
    """`fragment` is flags and offset as in the header; `options` are padded to words."""
    options += bytes(-len(options) % 4)
    length = 20 + len(options)
    fields = (0x40 | length // 4, tos, length + len(payload), ident, fragment, ttl, protocol)

    def header(check: int) -> bytes:
        return struct.pack("!BBHHHBBH", *fields, check) + src + dst + options

    return header(checksum(header(0))) + payload


def ipv6(
    src: bytes,
    dst: bytes,
    next_header: int,
    payload: bytes,
    traffic_class: int = 0,
    hop_limit: int = 64,
    label: int = 0,
) -> bytes:
    first = 6 << 28 | traffic_class << 20 | label
    return struct.pack("!IHBB", first, len(payload), next_header, hop_limit) + src + dst + payload


def extension(next_header: int, words: int = 0) -> bytes:
    """A hop-by-hop, routing or destination options header with `words` times 8 bytes behind its first 8."""
    return bytes([next_header, words, 1, 4 + 8 * (words % 31)]) + bytes(4 + 8 * words)


def fragment_header(next_header: int, offset: int, more: bool, ident: int = 1) -> bytes:
    return struct.pack("!BBHI", next_header, 0, offset << 3 | more, ident)


def tcp(
    src: bytes,
    dst: bytes,
    sport: int,
    dport: int,
    flags: int,
    options: bytes = b"",
    data: bytes = b"",
    sequence: int = 1,
    acknowledged: int = 1,
) -> bytes:
    options += bytes(-len(options) % 4)
    fixed = sport, dport, sequence, acknowledged, (20 + len(options)) // 4 << 4

    def segment(check: int) -> bytes:
        return struct.pack("!HHIIBBHHH", *fixed, flags, 1024, check, 0) + options + data

    return segment(checksum(pseudo_header(src, dst, TCP, 20 + len(options) + len(data)) + segment(0)))


def udp(src: bytes, dst: bytes, sport: int, dport: int, data: bytes = b"", with_checksum: bool = True) -> bytes:
    def datagram(check: int) -> bytes:
        return struct.pack("!HHHH", sport, dport, 8 + len(data), check) + data

    if not with_checksum:
        return datagram(0)
    return datagram(checksum(pseudo_header(src, dst, UDP, 8 + len(data)) + datagram(0)) or 0xFFFF)


def icmp(src: bytes, dst: bytes, kind: int, code: int, second: int, data: bytes = b"") -> bytes:
    """ICMP or, between IPv6 addresses, ICMPv6; `second` is the header's second word."""
    covered = b"" if len(src) == 4 else pseudo_header(src, dst, ICMPV6, 8 + len(data))

    def message(check: int) -> bytes:
        return struct.pack("!BBHI", kind, code, check, second) + data

    return message(checksum(covered + message(0)))


def icmp_protocol(address: bytes) -> int:
    return ICMP if len(address) == 4 else ICMPV6


def gue(version: int, hops: tuple[bytes, ...], next_hop: int, inner: bytes) -> bytes:
    """GUE with GLB's private data around an IP packet."""
    protocol = 4 if version == 4 else 41
    return struct.pack("!BBHHBB", 1 + len(hops), protocol, 0, 0, next_hop, len(hops)) + b"".join(hops) + inner
