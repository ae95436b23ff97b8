# SPDX-License-Identifier: MIT
"""The flow hash: which bytes go into it, and what is made of it."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glb.config.model import HashFields
from glb.hashing.flow import Flow, flow_hash, row_of, tunnel_source_port
from tests.unit import reference

KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
V4 = Flow(ip_address("192.0.2.9"), ip_address("198.51.100.1"), 0x1234, 80)
V6 = Flow(ip_address("2001:db8::9"), ip_address("2001:db8::1"), 0x1234, 80)


@pytest.mark.parametrize(
    ("fields", "flow", "message"),
    [
        (HashFields(), V4, "c0000209"),
        (HashFields(), V6, "20010db8000000000000000000000009"),
        (HashFields(dst_addr=True), V4, "c0000209c6336401"),
        (HashFields(src_addr=False, src_port=True), V4, "1234"),
        (HashFields(src_port=True, dst_port=True), V4, "c000020912340050"),
        (HashFields(True, True, True, True), V4, "c0000209c633640112340050"),
    ],
)
def test_fields_are_hashed_in_order_in_network_byte_order(fields: HashFields, flow: Flow, message: str) -> None:
    expected = int.from_bytes(reference.siphash(KEY, bytes.fromhex(message)), "little")

    assert flow_hash(KEY, fields, flow) == expected


def test_the_row_is_the_low_16_bits() -> None:
    assert row_of(0x0123456789ABCDEF) == 0xCDEF


@given(pkt_hash=st.integers(0, 2**64 - 1), port=st.integers(0, 65535))
def test_the_tunnels_source_port_lies_in_the_upper_half(pkt_hash: int, port: int) -> None:
    source_port = tunnel_source_port(pkt_hash, port)

    assert source_port >= 0x8000
    assert source_port & 0x7FFF == (pkt_hash & 0x7FFF) ^ (port & 0x7FFF)
