"""What a visit tells, in the words of someone who looks for a packet."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from glb.capture.records import Visit
from glb.scapy import GLBGUE

_ETHERNET = 14
_FLAGS = {"S": "SYN", "A": "ACK", "F": "FIN", "R": "RST", "P": "PSH", "U": "URG"}


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel's header: whom it is addressed to, and the list of hops of which `next_hop` is the next to be asked."""

    source: IPv4Address
    target: IPv4Address
    next_hop: int
    hops: tuple[IPv4Address, ...]

    @property
    def rest(self) -> tuple[IPv4Address, ...]:
        """Who is still to be asked."""
        return self.hops[self.next_hop :]


@dataclass(frozen=True, slots=True)
class Inner:
    """A client's packet. Ports are None where it has none; what: flags or kind; size: bytes of payload."""

    src: str
    dst: str
    src_port: int | None
    dst_port: int | None
    protocol: str
    what: str
    size: int

    def __str__(self) -> str:
        return f"{_endpoint(self.src, self.src_port)} > {_endpoint(self.dst, self.dst_port)} {self.what}".rstrip()


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
    return Inner(ip.src, ip.dst, src_port, dst_port, protocol, what + (f", {size} bytes" if size else ""), size)


def _endpoint(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
