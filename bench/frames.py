# SPDX-License-Identifier: MIT
"""The frames that the bench sends. Addresses are from the ranges for documentation, benchmarks and private use."""

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from glb.scapy import GLBGUE

HOST_MAC = "02:00:00:00:00:01"
PEER_MAC = "02:00:00:00:00:fe"
CLIENT4, CLIENT6 = "198.18.0.0", "2001:db8:c::1"
VIP4, VIP6 = "203.0.113.0", "2001:db8:f::10"
PORT = 80
GUE_PORT = 19523
DIRECTOR, PROXY, NEXT, LAST = "10.0.0.1", "10.0.0.11", "10.0.0.12", "10.0.0.13"

_ETHERNET_LEN = 14


def mac(text: str) -> bytes:
    """Six bytes."""
    return bytes.fromhex(text.replace(":", ""))


def ethernet(packet: Packet) -> bytes:
    """A packet for the host under test."""
    return bytes(Ether(src=PEER_MAC, dst=HOST_MAC) / packet)


def tcp4(size: int, port: int = PORT) -> bytes:
    """A frame of `size` bytes in all; as flow 0 of the harness it has 0xffff for identification."""
    packet = IP(src=CLIENT4, dst=VIP4, id=0xFFFF, flags="DF") / TCP(sport=40_000, dport=port, flags="A")
    return ethernet(_filled(packet, size - _ETHERNET_LEN))


def tcp6() -> bytes:
    """The shortest segment that carries data: 78 bytes."""
    return ethernet(IPv6(src=CLIENT6, dst=VIP6) / TCP(sport=40_000, dport=PORT, flags="A") / Raw(b"data"))


def icmp_error() -> bytes:
    """The ICMP error of a router on the path to the client about a packet of the VIP."""
    quoted = bytes(IPerror(src=VIP4, dst=CLIENT4) / TCPerror(sport=PORT, dport=40_000))[:28]
    return ethernet(IP(src="192.0.2.1", dst=VIP4) / ICMP(type=3, code=4, nexthopmtu=1400) / Raw(quoted))


def tunnelled(inner: Packet) -> bytes:
    """A packet as it reaches the first proxy, with two further hops."""
    return ethernet(
        IP(src=DIRECTOR, dst=PROXY, id=0, flags="DF")
        / UDP(sport=0x8123, dport=GUE_PORT, chksum=0)
        / GLBGUE(proto=4, hops=[NEXT, LAST])
        / inner
    )


def _filled(packet: Packet, size: int) -> Packet:
    return packet / Raw(bytes(size - len(packet)))
