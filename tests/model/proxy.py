"""The proxy, modelled: a frame, the configuration and what sockets there are in; a verdict and a frame out.

Written from docs/datapath.md and the wire format. Where they are silent, the model takes it that:

- VLAN tags are stepped over and kept, as at the director. MAC addresses are not looked at.
- A frame that is cut off before its UDP header ends is `pass_not_tunnel`.
- "The lengths agree": the IP packet lies within the frame, which may be longer; the UDP datagram is all that is
  behind the IP header.
- GUE's base header and the private data's first word must be there to be judged: else `drop_bad_tunnel`.
- Congestion marks are carried over where the packet leaves the tunnel; sent on, it keeps them inside and outside.
- What is behind the packet in the frame, such as padding, stays where it is.
- A second fragment, or an ICMP error about one, knows no connection: `taken_connectionless`.
- The source list comes after the tunnel's own checks, and before those of the inner packet.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from .checksum import updated
from .director import GUE_PORT, Result, Stop
from .headers import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    TCP,
    UDP,
    Fault,
    Flow,
    Kind,
    Link,
    Packet,
    ipv4_header,
    parse_link,
    parse_packet,
    quoted_sequence,
)
from .setup import Document

VERSION_OF_GUE_PROTOCOL = {4: 4, 41: 6}
ETHERTYPE = {4: ETHERTYPE_IPV4, 6: ETHERTYPE_IPV6}
MAX_HOPS = 16

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
NOT_ECT, ECT_1, ECT_0, CE = 0, 1, 2, 3


def no_cookies(packet: Packet) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel's headers: `start` is where the inner packet starts behind the link header, `end` where the outer one
    ends.
    """

    src: bytes
    dst: bytes
    ecn: int
    version: int
    next_hop: int
    hops: tuple[bytes, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Proxy:
    """`addresses` are this host's (none: any will do); `next_hops` has the MAC on the way to each hop, where it is
    known; `sockets` are the flows, from the client's side, that a socket here knows; `half_open` are those that are not
    finished, with the sequence number of the SYN-ACK; `time_wait` are those that have ended a moment ago, with the
    number that their clients would send next; `has_cookie` says whether a listener here finds a valid SYN cookie in a
    packet.
    """

    config: Document = field(default_factory=dict)
    addresses: tuple[bytes, ...] = ()
    next_hops: Mapping[bytes, bytes] = field(default_factory=dict)
    sockets: frozenset[Flow] = frozenset()
    half_open: Mapping[Flow, int] = field(default_factory=dict)
    time_wait: Mapping[Flow, int] = field(default_factory=dict)
    has_cookie: Callable[[Packet], bool] = no_cookies

    def run(self, frame: bytes) -> Result:
        try:
            link = self.link_of_tunnel(frame)
            data = frame[link.length :]
            tunnel = parse_tunnel(data)
            self.check_source(tunnel)
            inner = inner_packet(tunnel, data)
            verdict = self.taker(inner) or self.hop_or_last_resort(tunnel)
            out = self.forward(link, tunnel, data) if verdict == "forwarded" else decapsulate(link, tunnel, inner, data)
            return Result(verdict, out)
        except Stop as stop:
            verdict = str(stop)
            return Result(verdict, frame if verdict.startswith("pass_") else None)

    def link_of_tunnel(self, frame: bytes) -> Link:
        try:
            link = parse_link(frame)
        except Fault:
            raise Stop("pass_not_tunnel") from None
        data = frame[link.length :]
        if link.ethertype != ETHERTYPE_IPV4 or not is_tunnel(data):
            raise Stop("pass_not_tunnel")
        if self.addresses and data[16:20] not in self.addresses:
            raise Stop("pass_not_tunnel")
        return link

    def check_source(self, tunnel: Tunnel) -> None:
        sources = [ip_network(source) for source in self.config.get("sources", ())]
        outer = int.from_bytes(tunnel.src, "big")
        if sources and not any(outer & int(net.netmask) == int(net.network_address) for net in sources):
            raise Stop("drop_foreign_source")

    def taker(self, inner: Packet) -> str | None:
        """Why this host takes the packet; None if it is not known here."""
        if inner.kind not in (Kind.FLOW, Kind.ERROR) or inner.flow.protocol != TCP:
            return "taken_connectionless"
        flags = inner.data[inner.l4 + 13] if inner.kind is Kind.FLOW else 0
        if flags & SYN:
            return "taken_syn"
        if inner.flow in self.sockets:
            return "taken_established"
        if inner.flow in self.half_open:
            return "taken_established" if is_about(inner, self.half_open[inner.flow]) else None
        if inner.flow in self.time_wait:
            return "taken_established" if is_over(inner, self.time_wait[inner.flow]) else None
        if flags & (ACK | RST | FIN) == ACK and self.has_cookie(inner):
            return "taken_syncookie"
        return None

    @staticmethod
    def hop_or_last_resort(tunnel: Tunnel) -> str:
        if tunnel.next_hop >= len(tunnel.hops):
            return "taken_last_resort"
        return "taken_self" if tunnel.hops[tunnel.next_hop] == tunnel.dst else "forwarded"

    def forward(self, link: Link, tunnel: Tunnel, data: bytes) -> bytes:
        mac = self.next_hops.get(tunnel.hops[tunnel.next_hop], link.src)
        return link.header(mac, link.dst, ETHERTYPE_IPV4) + sent_on(tunnel, data)


def is_about(inner: Packet, sent: int) -> bool:
    """Whether a packet belongs to a half-open connection whose SYN-ACK had this sequence number."""
    if inner.kind is Kind.ERROR:
        return quoted_sequence(inner) == sent
    flags = inner.data[inner.l4 + 13]
    (acknowledged,) = struct.unpack_from("!I", inner.data, inner.l4 + 8)
    return not flags & ACK or acknowledged == (sent + 1) & 0xFFFFFFFF


def is_over(inner: Packet, expected: int) -> bool:
    """Whether a connection that ended with this number expected has seen a packet like this one, or might have."""
    if inner.kind is Kind.ERROR:
        return True
    (sequence,) = struct.unpack_from("!I", inner.data, inner.l4 + 4)
    return not 0 < (sequence - expected) % 2**32 < 2**31


def is_tunnel(data: bytes) -> bool:
    ip = ipv4_header(data)
    if ip is None or ip.length != 20 or ip.protocol != UDP or ip.more or ip.offset or len(data) < 28:
        return False
    return data[22:24] == GUE_PORT.to_bytes(2, "big")


def parse_tunnel(data: bytes) -> Tunnel:
    """What is_tunnel() says is one."""
    (end,) = struct.unpack_from("!H", data, 2)
    (datagram,) = struct.unpack_from("!H", data, 24)
    if end > len(data) or datagram != end - 20 or datagram < 8 + 8:
        raise Stop("drop_bad_tunnel")
    control, protocol, flags, kind, next_hop, hop_count = struct.unpack_from("!BBHHBB", data, 28)
    version = VERSION_OF_GUE_PROTOCOL.get(protocol)
    if control & 0xE0 or flags or kind or version is None:
        raise Stop("drop_bad_tunnel")
    start = 36 + 4 * hop_count
    if control & 0x1F != hop_count + 1 or hop_count > MAX_HOPS or start > end:
        raise Stop("drop_bad_hops")
    hops = tuple(data[at : at + 4] for at in range(36, start, 4))
    return Tunnel(data[12:16], data[16:20], data[1] & 3, version, next_hop, hops, start, end)


def inner_packet(tunnel: Tunnel, data: bytes) -> Packet:
    try:
        inner = parse_packet(data[tunnel.start : tunnel.end], tunnel.version)
    except Fault:
        raise Stop("drop_bad_inner") from None
    if inner.hop_limit == 0:
        raise Stop("drop_ttl_zero")
    return inner


def decapsulate(link: Link, tunnel: Tunnel, inner: Packet, data: bytes) -> bytes:
    ecn = decapsulated_ecn(tunnel.ecn, inner.traffic_class & 3)
    packet = bytearray(data[tunnel.start :])
    mark = mark_ipv4 if inner.version == 4 else mark_ipv6
    mark(packet, ecn)
    return link.header(link.dst, link.src, ETHERTYPE[inner.version]) + packet


def decapsulated_ecn(outer: int, inner: int) -> int:
    """RFC 6040, figure 4."""
    if outer == CE:
        if inner == NOT_ECT:
            raise Stop("drop_congestion")
        return CE
    return ECT_1 if (outer, inner) == (ECT_1, ECT_0) else inner


def mark_ipv4(packet: bytearray, ecn: int) -> None:
    before = bytes(packet[:2])
    packet[1] = packet[1] & ~3 | ecn
    if packet[:2] != before:
        (check,) = struct.unpack_from("!H", packet, 10)
        struct.pack_into("!H", packet, 10, updated(check, before, bytes(packet[:2])))


def mark_ipv6(packet: bytearray, ecn: int) -> None:
    """The traffic class lies across the first two bytes; its last two bits are bits 5 and 4 of the second."""
    packet[1] = packet[1] & ~0x30 | ecn << 4


def sent_on(tunnel: Tunnel, data: bytes) -> bytes:
    """The packet on its way to the next hop."""
    out = bytearray(data)
    out[12:20] = tunnel.dst + tunnel.hops[tunnel.next_hop]
    out[34] = tunnel.next_hop + 1
    ip_check, udp_check = struct.unpack_from("!H", data, 10)[0], struct.unpack_from("!H", data, 26)[0]
    addresses = data[12:20], bytes(out[12:20])
    struct.pack_into("!H", out, 10, updated(ip_check, *addresses))
    if udp_check:
        before, after = addresses[0] + data[34:36], addresses[1] + bytes(out[34:36])
        struct.pack_into("!H", out, 26, updated(udp_check, before, after) or 0xFFFF)
    return bytes(out)
