# SPDX-License-Identifier: MIT
"""The proxy, modelled: a frame, the configuration and what sockets there are in; a verdict and a frame out.

Written from docs/datapath.md, the wire format, and RFC 9293 for TCP. Where they are silent, the model takes it that:

- VLAN tags are stepped over and kept, as at the director.
- A frame that is cut off before its UDP header ends is `pass_not_tunnel`.
- "The lengths agree": the IP packet lies within the frame, which may be longer; the UDP datagram is all that is
  behind the IP header.
- GUE's base header and the private data's first word must be there to be judged: else `drop_bad_tunnel`.
- Congestion marks are combined at decapsulation; a forwarded packet keeps them inside and outside.
- What is behind the packet in the frame, such as padding, stays where it is.
- A second fragment, or an ICMP error about one, knows no connection: `taken_connectionless`.
- The source list comes after the tunnel's own checks, and before those of the inner packet.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from .checksum import updated
from .connections import WORD, HalfOpen, Known
from .director import GUE_PORT, Result, Stop
from .headers import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ICMP_OF_VERSION,
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
MAC = b"\x02\0\0\0\0\x0b"
LEAST_WINDOW, MOST_WINDOW = 1 << 16, 1 << 30

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
    """`macs` are those that frames are taken for; `addresses` are this host's (none: any will do); `vips` and `own` are
    networks of local addresses, of which the longest decides; `hops` are the networks that hops may be in where there
    are no sources; `next_hops` has the MAC of each hop's next hop, where it is resolved; `sockets` are the connections
    that a socket here knows; `half_open` are those that are not finished; `has_cookie` says whether a listener
    here finds a valid SYN cookie in a packet.
    """

    config: Document = field(default_factory=dict)
    macs: tuple[bytes, ...] = (MAC,)
    addresses: tuple[bytes, ...] = ()
    vips: tuple[str, ...] = ("203.0.113.0/24", "2001:db8:f::/48")
    own: tuple[str, ...] = ()
    hops: tuple[str, ...] = ("0.0.0.0/0",)
    next_hops: Mapping[bytes, bytes] = field(default_factory=dict)
    sockets: Mapping[Flow, Known] = field(default_factory=dict)
    half_open: Mapping[Flow, HalfOpen] = field(default_factory=dict)
    has_cookie: Callable[[Packet], bool] = no_cookies

    def run(self, frame: bytes) -> Result:
        try:
            link = self.link_of_tunnel(frame)
            data = frame[link.length :]
            tunnel = parse_tunnel(data)
            self.check_source(tunnel)
            inner = inner_packet(tunnel, data)
            self.admit(tunnel, inner)
            verdict, position = self.taker(inner), 0
            if verdict is None:
                verdict, position = self.hop_or_last_resort(tunnel)
            if verdict == "forwarded":
                return Result(verdict, self.forward(link, tunnel, data, position))
            return Result(verdict, decapsulate(link, tunnel, inner, data))
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
        if link.dst not in self.macs:
            raise Stop("pass_other_host")
        return link

    def check_source(self, tunnel: Tunnel) -> None:
        sources = self.config.get("sources", ())
        if sources and not is_in(tunnel.src, sources):
            raise Stop("drop_foreign_source")

    def admit(self, tunnel: Tunnel, inner: Packet) -> None:
        """Stop what is not for a VIP, or from no client. The addresses are those of the packet's own header."""
        if not is_served(inner):
            raise Stop("drop_not_served")
        size, start = (4, 12) if inner.version == 4 else (16, 8)
        src, dst = inner.data[start : start + size], inner.data[start + size : start + 2 * size]
        is_health_check = inner.kind is Kind.ECHO and dst == tunnel.dst
        if (not self.is_vip(dst) or dst == tunnel.dst) and not is_health_check:
            raise Stop("drop_not_vip")
        if is_martian(src) or is_in(src, (*self.vips, *self.own)):
            raise Stop("drop_martian")

    def is_vip(self, address: bytes) -> bool:
        places = dict.fromkeys(self.vips, True) | dict.fromkeys(self.own, False)
        matching = [place for place in places if is_in(address, (place,))]
        return bool(matching) and places[max(matching, key=lambda place: ip_network(place).prefixlen)]

    def taker(self, inner: Packet) -> str | None:
        """Why this host takes the packet; None if it is not known here."""
        if inner.kind not in (Kind.FLOW, Kind.ERROR) or inner.flow.protocol != TCP:
            return "taken_connectionless"
        flags = inner.data[inner.l4 + 13] if inner.kind is Kind.FLOW else 0
        if flags & (SYN | ACK | RST | FIN) == SYN:
            return "taken_syn"
        if inner.flow in self.sockets:
            return "taken_established" if is_of(inner, self.sockets[inner.flow]) else None
        if inner.flow in self.half_open:
            return taken_half_open(inner, flags) if is_about(inner, self.half_open[inner.flow]) else None
        if flags & (ACK | RST | FIN) == ACK and self.has_cookie(inner):
            return "taken_syncookie"
        return None

    def hop_or_last_resort(self, tunnel: Tunnel) -> tuple[str, int]:
        """The verdict, and the position of the hop that is next: no hop is visited again."""
        for position in range(tunnel.next_hop, len(tunnel.hops)):
            hop = tunnel.hops[position]
            if hop == tunnel.src or hop in tunnel.hops[:position]:
                continue
            if hop == tunnel.dst or hop in self.addresses:
                return "taken_self", position
            if not 0 < hop[0] < 224 or hop[0] == 127 or not is_in(hop, self.config.get("sources") or self.hops):
                raise Stop("drop_foreign_hop")
            return "forwarded", position
        return "taken_last_resort", len(tunnel.hops)

    def forward(self, link: Link, tunnel: Tunnel, data: bytes, position: int) -> bytes:
        mac = self.next_hops.get(tunnel.hops[position], link.src)
        return link.header(mac, link.dst, ETHERTYPE_IPV4) + sent_on(tunnel, data, position)


def is_in(address: bytes, networks: Iterable[str]) -> bool:
    number, size = int.from_bytes(address, "big"), 8 * len(address)
    parsed = [ip_network(network) for network in networks]
    return any(net.max_prefixlen == size and number & int(net.netmask) == int(net.network_address) for net in parsed)


def is_served(inner: Packet) -> bool:
    """Whether a director sends such packets."""
    if inner.kind is Kind.FRAGMENT:
        return inner.flow.protocol in (TCP, UDP, ICMP_OF_VERSION[inner.version])
    return inner.kind is not Kind.OTHER


def is_martian(address: bytes) -> bool:
    """RFC 6890: not a source on a wire. An IPv6 link-local address is none beyond its link."""
    if len(address) == 4:
        return address[0] in (0, 127) or 224 <= address[0] < 240 or address == b"\xff" * 4
    nowhere = address[:15] == bytes(15) and address[15] < 2
    mapped = address[:12] == bytes(10) + b"\xff\xff"
    return nowhere or mapped or address[0] == 0xFF or (address[0] == 0xFE and address[1] & 0xC0 == 0x80)


def is_about(inner: Packet, known: HalfOpen) -> bool:
    """Whether a packet belongs to this half-open connection."""
    if inner.kind is Kind.ERROR:
        return quoted_sequence(inner) == known.sent
    flags = inner.data[inner.l4 + 13]
    sequence, acknowledged = struct.unpack_from("!II", inner.data, inner.l4 + 4)
    if flags & ACK and acknowledged != (known.sent + 1) & WORD:
        return False
    return is_near(sequence, known.expected, LEAST_WINDOW)


def taken_half_open(inner: Packet, flags: int) -> str:
    if inner.kind is Kind.FLOW and flags & (SYN | ACK | RST | FIN) == ACK:
        return "taken_handshake"
    return "taken_established"


def is_of(inner: Packet, known: Known) -> bool:
    """Whether a packet belongs to this connection: RFC 9293, 3.10.7.4, and what is repeated from a window before."""
    if inner.kind is Kind.ERROR:
        return quoted_sequence(inner) == known.sent
    (sequence,) = struct.unpack_from("!I", inner.data, inner.l4 + 4)
    return is_near(sequence, known.expected, min(max(known.window, LEAST_WINDOW), MOST_WINDOW))


def is_near(sequence: int, expected: int, window: int) -> bool:
    return (sequence - expected + window) % 2**32 <= 2 * window


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


def sent_on(tunnel: Tunnel, data: bytes, position: int) -> bytes:
    """The packet as sent to the hop at this position."""
    out = bytearray(data)
    out[12:20] = tunnel.dst + tunnel.hops[position]
    out[34] = position + 1
    ip_check, udp_check = struct.unpack_from("!H", data, 10)[0], struct.unpack_from("!H", data, 26)[0]
    addresses = data[12:20], bytes(out[12:20])
    struct.pack_into("!H", out, 10, updated(ip_check, *addresses))
    if udp_check:
        before, after = addresses[0] + data[34:36], addresses[1] + bytes(out[34:36])
        struct.pack_into("!H", out, 26, updated(udp_check, before, after) or 0xFFFF)
    return bytes(out)
