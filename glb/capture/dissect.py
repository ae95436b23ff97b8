# SPDX-License-Identifier: MIT
"""From a captured packet's frames to its event."""

import hashlib
from ipaddress import IPv4Address

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from glb.capture.event import ClientPacket, Event, Tunnel
from glb.capture.records import NANOSECONDS, CapturedPacket
from glb.datapath.verdicts import Verdict
from glb.scapy import GLBGUE

_ETHERNET = 14
_IPV6_HEADER = 40
_DIGESTED = 256  # bytes of a packet, short enough to be kept of it in each tunnel
_FLAGS = {"S": "SYN", "A": "ACK", "F": "FIN", "R": "RST", "P": "PSH", "U": "URG"}


def event_of(captured: CapturedPacket, host: str) -> Event:
    """The event of a packet that this host, called `host`, captured. Never raises, whatever is in the frames."""
    before, after = dissected(captured.before.data), dissected(captured.after.data)
    came_in, left_in = _tunnel(before), _tunnel(after) if captured.leaves else None
    return Event(
        host=host,
        time=captured.time / NANOSECONDS,
        interface=captured.interface,
        program=captured.program,
        verdict=captured.verdict.name,
        action=captured.verdict.action,
        length=captured.before.length,
        decision=_decision(captured.verdict, came_in, left_in),
        packet=_client_packet(before[GLBGUE].payload if GLBGUE in before else before.payload),
        came_in=came_in,
        left_in=left_in,
    )


def dissected(frame: bytes) -> Packet:
    """A frame as scapy reads it, also one that ends within its Ethernet header."""
    return Ether(frame) if len(frame) >= _ETHERNET else Raw(frame)


def _decision(verdict: Verdict, came_in: Tunnel | None, left_in: Tunnel | None) -> str:
    """The verdict, and the hop that receives the packet."""
    if left_in is None:
        return f"{verdict.name}: {verdict.meaning}"
    then = ", then ".join(str(hop) for hop in left_in.rest)
    target = f"to {left_in.target}" + (f"; if it does not know the connection: {then}" if then else "")
    return f"{verdict.name} {target}" if came_in is None else f"{verdict.name} {target}: {verdict.meaning}"


def _tunnel(frame: Packet) -> Tunnel | None:
    if GLBGUE not in frame:
        return None
    outer, gue = frame[IP], frame[GLBGUE]
    hops = tuple(IPv4Address(hop) for hop in gue.hops)
    return Tunnel(IPv4Address(outer.src), IPv4Address(outer.dst), gue.next_hop, hops)


def _client_packet(packet: Packet) -> ClientPacket | None:
    ip = next((packet[layer] for layer in (IP, IPv6) if layer in packet), None)
    if ip is None:
        return None
    if TCP in ip:
        tcp = ip[TCP]
        flags = " ".join(_FLAGS.get(flag, flag) for flag in str(tcp.flags))
        return _made(ip, tcp.sport, tcp.dport, "tcp", flags, len(tcp.payload))
    if UDP in ip:
        return _made(ip, ip[UDP].sport, ip[UDP].dport, "udp", "UDP", len(ip[UDP].payload))
    kind = ip.payload.sprintf("%ICMP.type%") if ICMP in ip else ip.payload.name
    return _made(ip, None, None, "icmp" if ICMP in ip else "other", kind, len(ip.payload))


def _made(ip: Packet, src_port: int | None, dst_port: int | None, protocol: str, what: str, size: int) -> ClientPacket:
    text = what + (f", {size} bytes" if size else "")
    return ClientPacket(ip.src, ip.dst, src_port, dst_port, protocol, text, size, _digest(ip))


def _digest(ip: Packet) -> str:
    """A digest over a packet without the padding of its frame."""
    length = ip.len if IP in ip else _IPV6_HEADER + ip.plen
    return hashlib.blake2b(ip.original[: min(length, _DIGESTED)], digest_size=8).hexdigest()
