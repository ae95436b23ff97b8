# SPDX-License-Identifier: MIT
"""The words of the tunnel's headers that are the same for every packet. Pure.

A word is as the program stores it: its lowest byte is sent first.
"""

from ipaddress import IPv4Address

UNKNOWN_MAC = bytes(6)
ETHERNET_WORD = 8  # bytes of the header's beginning

_VERSION_AND_TOS, _DONT_FRAGMENT, _TTL_AND_UDP = 0x4500, 0x4000, 64 << 8 | 17


def ethernet_word(destination: bytes, source: bytes) -> int:
    """The first 8 bytes of an Ethernet header."""
    return int.from_bytes((destination + source)[:ETHERNET_WORD], "little")


def gue_word(hops: int) -> int:
    """GUE's fixed part and GLB's private data for a number of hops, the first included; the inner protocol is 0."""
    further = hops - 1
    return int.from_bytes(bytes((1 + further, 0, 0, 0, 0, 0, 0, further)), "little")


def checksum_without_length(source: IPv4Address, destination: IPv4Address) -> int:
    """The outer IPv4 header's checksum as if its TOS and total length were 0 (RFC 1071)."""
    addresses = source.packed + destination.packed
    words = [int.from_bytes(addresses[at : at + 2], "big") for at in range(0, len(addresses), 2)]
    total = sum(words, _VERSION_AND_TOS + _DONT_FRAGMENT + _TTL_AND_UDP)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def mac_word(mac: bytes) -> int:
    """A MAC in the lower six bytes of a word, as in bpf/parse.h."""
    return int.from_bytes(mac, "little")
