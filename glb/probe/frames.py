# SPDX-License-Identifier: MIT
"""Test packets of a flow, and test runs of an attached program (BPF_PROG_TEST_RUN)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from glb.config.model import Proto
from glb.datapath import libbpf
from glb.datapath.pins import open_pinned
from glb.hashing.flow import Flow
from glb.scapy import GLBGUE, GUE_PORT

_ANOTHER_MAC = "02:00:00:00:00:01"


@contextmanager
def pinned_program(interface: str) -> Iterator[int]:
    """A descriptor of the program that is pinned for an interface. Raises DatapathError if there is none."""
    program = open_pinned(interface, "program")
    try:
        yield program
    finally:
        os.close(program)


def client_packet(flow: Flow, proto: Proto, flags: str = "S") -> Packet:
    """The client's IP packet: a TCP segment with these flags, or an empty datagram."""
    network = IP if flow.src.version == 4 else IPv6
    transport = TCP(sport=flow.src_port, dport=flow.dst_port, flags=flags)
    if proto is Proto.UDP:
        transport = UDP(sport=flow.src_port, dport=flow.dst_port)
    return network(src=str(flow.src), dst=str(flow.dst)) / transport


def tunnelled(packet: Packet, source: IPv4Address, proxy: IPv4Address, hops: Sequence[IPv4Address]) -> Packet:
    """The packet as a director sends it to a proxy."""
    outer = IP(src=str(source), dst=str(proxy)) / UDP(sport=0x8000, dport=GUE_PORT, chksum=0)
    return outer / GLBGUE(hops=[str(hop) for hop in hops]) / packet


def run(program: int, mac: bytes, packet: Packet) -> tuple[int, Packet]:
    """Run a program on a packet received for a MAC (6 bytes). Returns the XDP action and the frame afterwards."""
    frame = Ether(dst=mac.hex(":"), src=_ANOTHER_MAC) / packet
    action, data = libbpf.run_on_frame(program, bytes(frame))
    return action, Ether(data)
