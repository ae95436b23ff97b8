# SPDX-License-Identifier: MIT
"""GUE packets of the checks: without further hops, so that the backend is the last hop. Pure."""

import struct
from ipaddress import IPv4Address

GUE_PORT = 19523
_PROTOCOL = {4: 4, 6: 41}
_ECHO_REQUEST = 8
_ECHO_REPLY = 0
_TTL = 64
_ICMP = 1
_OUTER_HEADERS = 20 + 8  # IPv4 and UDP


def tunnelled(packet: bytes) -> bytes:
    """The UDP payload that carries an IP packet: 4 bytes of GUE, 4 of private data (type 0, no hops)."""
    return bytes((1, _PROTOCOL[packet[0] >> 4], 0, 0, 0, 0, 0, 0)) + packet


def padded(payload: bytes, size: int) -> bytes:
    """The UDP payload with zeros behind the inner packet, so that the outer IPv4 packet has `size` bytes.

    The inner packet's length does not count them, so the receiver removes them like the padding of a short frame
    (RFC 894). The reply has the size of the reply to a packet without padding.
    """
    return payload.ljust(size - _OUTER_HEADERS, b"\0")


def echo_request(source: IPv4Address, destination: IPv4Address, identifier: int, sequence: int) -> bytes:
    """An IPv4 packet with an ICMP echo request."""
    icmp = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, identifier, sequence)
    icmp = icmp[:2] + checksum(icmp) + icmp[4:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 0, 0x4000, _TTL, _ICMP, 0)
    ends = source.packed + destination.packed
    return head[:10] + checksum(head + ends) + ends + icmp


def echo_reply(packet: bytes) -> tuple[IPv4Address, int, int] | None:
    """Source, identifier and sequence number of an echo reply; None for any other IPv4 packet."""
    icmp = packet[(packet[0] & 0xF) * 4 :]
    if len(icmp) < 8 or icmp[0] != _ECHO_REPLY:
        return None
    identifier, sequence = struct.unpack_from("!HH", icmp, 4)
    return IPv4Address(packet[12:16]), identifier, sequence


def with_usual_ttl(packet: bytes) -> bytes:
    """The packet with TTL (hop limit) 64, as a host sends it."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes((_TTL,)) + packet[8:]
    length = (packet[0] & 0xF) * 4
    head = packet[:8] + bytes((_TTL, packet[9], 0, 0)) + packet[12:length]
    return head[:10] + checksum(head) + packet[10 + 2 :]


def source_port(packet: bytes) -> tuple[int, int] | None:
    """IP version and source port of a TCP packet; None for any other packet."""
    version = packet[0] >> 4
    protocol, at = (packet[9], (packet[0] & 0xF) * 4) if version == 4 else (packet[6], 40)
    if protocol != 6:
        return None
    return version, int.from_bytes(packet[at : at + 2], "big")


def checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")
