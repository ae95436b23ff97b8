# SPDX-License-Identifier: MIT
"""The parts of the tunnel's headers that are put together in advance, against scapy's."""

from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import IP, UDP

from glb.datapath.tunnel import checksum_without_length, ethernet_word, gue_word

LENGTH = 94


@pytest.mark.parametrize(("source", "destination"), [("10.0.0.1", "10.0.0.11"), ("192.0.2.255", "198.51.100.254")])
def test_the_checksum_without_length_fits_the_whole_header(source: str, destination: str) -> None:
    header = bytes(IP(src=source, dst=destination, id=0, flags="DF", len=LENGTH) / UDP())[:20]
    begun = checksum_without_length(IPv4Address(source), IPv4Address(destination))
    assert (begun - LENGTH) % 0xFFFF == int.from_bytes(header[10:12], "big")


def test_a_gue_word_counts_the_hops_behind_the_first() -> None:
    assert gue_word(3).to_bytes(8, "little") == bytes((3, 0, 0, 0, 0, 0, 0, 2))


def test_an_ethernet_word_ends_within_the_source() -> None:
    assert ethernet_word(b"ABCDEF", b"abcdef").to_bytes(8, "little") == b"ABCDEFab"
