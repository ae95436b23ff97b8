# SPDX-License-Identifier: MIT
"""A scapy layer for GLB's GUE header, and a strict check of the tunnel's whole encapsulation.

It is written from the format alone, and so can judge the datapath's packets.
"""

import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from scapy.fields import BitField, ByteEnumField, ByteField, FieldListField, IPField, ShortField
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, bind_layers

GUE_PORT = 19523
PROTO_IPV4 = 4
PROTO_IPV6 = 41

ETHERNET_BYTES = 14
IPV4_BYTES = 20
UDP_BYTES = 8
GLB_BYTES = 8


class GLBGUE(Packet):  # type: ignore[misc] # scapy has no types
    """GUE with GLB's private data; hlen and hop_count are computed if None, proto follows the payload."""

    name = "GLB GUE"
    fields_desc = [  # noqa: RUF012 - scapy's declaration of a header
        BitField("version", 0, 2),
        BitField("control", 0, 1),
        BitField("hlen", None, 5),
        ByteEnumField("proto", PROTO_IPV4, {PROTO_IPV4: "IPv4", PROTO_IPV6: "IPv6"}),
        ShortField("flags", 0),
        ShortField("type", 0),
        ByteField("next_hop", 0),
        ByteField("hop_count", None),
        FieldListField("hops", [], IPField("", "0.0.0.0"), count_from=lambda header: header.hop_count),
    ]

    def post_build(self, header: bytes, payload: bytes) -> bytes:
        """Fill in hop_count (byte 7), then hlen (the low five bits of byte 0) from it."""
        built = bytearray(header)
        if self.hop_count is None:
            built[7] = len(self.hops)
        if self.hlen is None:
            built[0] |= (1 + built[7]) & 0x1F
        return bytes(built) + payload


bind_layers(UDP, GLBGUE, dport=GUE_PORT)
bind_layers(GLBGUE, IP, proto=PROTO_IPV4)
bind_layers(GLBGUE, IPv6, proto=PROTO_IPV6)


def check_tunnel(packet: Packet | bytes) -> list[str]:
    """List each deviation of a tunnel frame, from its Ethernet header on, from GLB's encapsulation.

    An empty list means that it is well-formed. A header that is cut short ends the check.
    """
    deviations: list[str] = []
    frame = memoryview(bytes(packet))
    for name, length, check in (
        ("Ethernet", ETHERNET_BYTES, _check_ethernet),
        ("outer IPv4", IPV4_BYTES, _check_ipv4),
        ("UDP", UDP_BYTES, _check_udp),
        ("GUE", GLB_BYTES, _check_gue),
    ):
        if len(frame) < length:
            return [*deviations, f"{name}: cut short: {len(frame)} bytes of {length}"]
        deviations += (f"{name}: {deviation}" for deviation in check(frame))
        frame = frame[length:]
    return deviations


def _unlike(*fields: tuple[str, int, int]) -> Iterator[str]:
    """A line for each (name, value, value that it must have) that is not as it must be."""
    for name, value, expected in fields:
        if value != expected:
            yield f"{name} is {value}, not {expected}"


def _check_ethernet(frame: memoryview) -> Iterator[str]:
    ethertype: int
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    if ethertype != 0x0800:
        yield f"type is 0x{ethertype:04x}, not 0x0800"


def _check_ipv4(frame: memoryview) -> Iterator[str]:
    first, tos, length, identification, fragment, ttl, protocol = struct.unpack_from("!BBHHHBB", frame)
    yield from _unlike(
        ("version", first >> 4, 4),
        ("header length in words", first & 0xF, 5),
        ("DSCP and ECN", tos, 0),
        ("total length", length, len(frame)),
        ("identification", identification, 0),
    )
    if fragment != 0x4000:
        yield f"flags and fragment offset are 0x{fragment:04x}, not 0x4000 (don't fragment)"
    yield from _unlike(("TTL", ttl, 64), ("protocol", protocol, 17))
    if _ones_complement_sum(frame[:IPV4_BYTES]) != 0xFFFF:
        yield "checksum is wrong"


def _ones_complement_sum(header: memoryview) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _check_udp(frame: memoryview) -> Iterator[str]:
    source, destination, length, checksum = struct.unpack_from("!4H", frame)
    if source < 0x8000:
        yield f"source port is {source}, not 32768 or above"
    yield from _unlike(
        ("destination port", destination, GUE_PORT), ("length", length, len(frame)), ("checksum", checksum, 0)
    )


def _check_gue(frame: memoryview) -> Iterator[str]:
    first, proto, flags, kind, next_hop, hop_count = struct.unpack_from("!BBHHBB", frame)
    yield from _unlike(("version", first >> 6, 0), ("control bit", first >> 5 & 1, 0))
    yield from _unlike(("hlen", first & 0x1F, hop_count + 1), ("flags", flags, 0), ("private type", kind, 0))
    if next_hop > hop_count:
        yield f"next_hop is {next_hop}, beyond hop_count {hop_count}"
    end = GLB_BYTES + 4 * hop_count
    if len(frame) < end:
        yield f"cut short: {hop_count} hops end at byte {end}, the frame at {len(frame)}"
        return
    for index in range(hop_count):
        if not any(frame[GLB_BYTES + 4 * index : GLB_BYTES + 4 * index + 4]):
            yield f"hop {index} is {IPv4Address(0)}"
    yield from _check_inner(proto, frame[end:])


def _check_inner(proto: int, inner: memoryview) -> Iterator[str]:
    lengths: dict[int, tuple[int, int, Callable[[memoryview], int]]] = {
        PROTO_IPV4: (4, 20, lambda ip: int.from_bytes(ip[2:4], "big")),
        PROTO_IPV6: (6, 40, lambda ip: 40 + int.from_bytes(ip[4:6], "big")),
    }
    if proto not in lengths:
        yield f"protocol is {proto}, not 4 (IPv4) or 41 (IPv6)"
        return
    version, header_bytes, total_length = lengths[proto]
    if len(inner) < header_bytes:
        yield f"inner packet is cut short: {len(inner)} bytes, its header alone takes {header_bytes}"
        return
    yield from _unlike(
        ("inner version", inner[0] >> 4, version), ("inner packet's length", total_length(inner), len(inner))
    )
