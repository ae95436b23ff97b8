# SPDX-License-Identifier: MIT
"""MAC addresses as the programs read them."""

UNKNOWN_MAC = bytes(6)


def mac_word(mac: bytes) -> int:
    """In the lower six bytes of a word, in the order in which they are sent (parse.h)."""
    return int.from_bytes(mac, "little")
