# SPDX-License-Identifier: MIT
"""What a visit tells, in the words of someone who looks for a packet."""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from glb.capture.records import NANOSECONDS, Visit
from glb.capture.told import Inner, Row, Told, Tunnel
from glb.scapy import GLBGUE

_ETHERNET = 14
_IPV6_HEADER = 40
_DIGESTED = 256  # bytes of a packet: its headers and some of what is in it, which is kept of it in each tunnel
_FLAGS = {"S": "SYN", "A": "ACK", "F": "FIN", "R": "RST", "P": "PSH", "U": "URG"}


@dataclass(frozen=True, slots=True)
class Story:
    """A visit: the client's packet, the tunnel it came in and the one it left in. None: there was none, or no IP."""

    visit: Visit
    inner: Inner | None
    came_in: Tunnel | None
    left_in: Tunnel | None

    @property
    def decision(self) -> str:
        """What was done with the packet, and why."""
        verdict = self.visit.verdict
        if self.left_in is None:
            return f"{verdict.name}: {verdict.meaning}"
        then = ", then ".join(str(hop) for hop in self.left_in.rest)
        whither = f"to {self.left_in.target}" + (f"; if it does not know the connection: {then}" if then else "")
        return f"{verdict.name} {whither}" if self.came_in is None else f"{verdict.name} {whither}: {verdict.meaning}"

    def told(self, host: str, row: Row | None = None) -> Told:
        """host: on which the datapath is. row: which is the packet's, if it has been looked up."""
        visit = self.visit
        return Told(
            host=host,
            time=visit.time / NANOSECONDS,
            interface=visit.interface,
            program=visit.program,
            verdict=visit.verdict.name,
            action=visit.verdict.action,
            length=visit.before.length,
            decision=self.decision,
            packet=self.inner,
            came_in=self.came_in,
            left_in=self.left_in,
            row=row,
        )


def tell(visit: Visit) -> Story:
    """Read a visit's frames. Whatever is in them, this raises nothing."""
    before, after = dissected(visit.before.data), dissected(visit.after.data)
    tunnelled = before[GLBGUE].payload if GLBGUE in before else before.payload
    return Story(visit, _inner(tunnelled), _tunnel(before), _tunnel(after) if visit.leaves else None)


def dissected(frame: bytes) -> Packet:
    """A frame as scapy sees it, also one that ends within its Ethernet header."""
    return Ether(frame) if len(frame) >= _ETHERNET else Raw(frame)


def _tunnel(frame: Packet) -> Tunnel | None:
    if GLBGUE not in frame:
        return None
    outer, gue = frame[IP], frame[GLBGUE]
    hops = tuple(IPv4Address(hop) for hop in gue.hops)
    return Tunnel(IPv4Address(outer.src), IPv4Address(outer.dst), gue.next_hop, hops)


def _inner(packet: Packet) -> Inner | None:
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


def _made(ip: Packet, src_port: int | None, dst_port: int | None, protocol: str, what: str, size: int) -> Inner:
    told = what + (f", {size} bytes" if size else "")
    return Inner(ip.src, ip.dst, src_port, dst_port, protocol, told, size, _digest(ip))


def _digest(ip: Packet) -> str:
    """Of a packet without the padding of its frame."""
    length = ip.len if IP in ip else _IPV6_HEADER + ip.plen
    return hashlib.blake2b(ip.original[: min(length, _DIGESTED)], digest_size=8).hexdigest()
