# SPDX-License-Identifier: MIT
"""Where binds stand in the director's hash table: regular addresses and ports, as configurations have them, spread."""

import numpy as np
import pytest

from glb.datapath.cuckoo import Words, arrange, choices
from glb.errors import DatapathError

TCP = 6
SIZE = 65536


def selector(port: int, family: int) -> int:
    return int.from_bytes(port.to_bytes(2, "big"), "little") | TCP << 16 | family << 24


def ipv4_keys(addresses: int, ports: int) -> Words:
    """203.0.113.0 and those after it, with ports from 80 on."""
    first = 0xCB007100
    words = [int.from_bytes((first + n).to_bytes(4, "big"), "little") for n in range(addresses)]
    return np.array([(word, 0, selector(80 + n, 4)) for word in words for n in range(ports)], np.uint64)


def ipv6_keys(networks: int, ports: int) -> Words:
    """2001:db8:n::1, whose bytes of n stand where an IPv4 bind's sum would have the port."""
    words = [
        int.from_bytes(bytes.fromhex("20010db8") + n.to_bytes(2, "big") + bytes(2), "little") for n in range(networks)
    ]
    low = int.from_bytes(bytes(7) + b"\1", "little")
    return np.array([(word, low, selector(n, 6)) for word in words for n in range(ports)], np.uint64)


@pytest.mark.parametrize("keys", [ipv4_keys(100, 100), ipv4_keys(10_000, 1), ipv4_keys(1, 10_000), ipv6_keys(100, 100)])
def test_each_of_10000_binds_has_one_of_two_positions(keys: Words) -> None:
    multiplier, places = arrange(keys, SIZE)
    at = choices(keys, SIZE, multiplier)
    for key in range(len(keys)):
        assert key in places[at[key]]
    assert (places >= 0).sum() == len(keys)


def test_most_binds_are_found_at_the_first_look() -> None:
    keys = ipv4_keys(100, 100)
    multiplier, places = arrange(keys, SIZE)
    first = choices(keys, SIZE, multiplier)[:, 0]
    assert (places[first] == np.arange(len(keys))).mean() > 0.9


def test_a_bind_listed_three_times_is_an_error() -> None:
    with pytest.raises(DatapathError, match="is a bind listed twice"):
        arrange(np.repeat(ipv4_keys(1, 1), 3, axis=0), SIZE)
