# SPDX-License-Identifier: MIT
"""Frames and packets, read by the rules of docs/datapath.md.

The same rules hold for what a client sends to the director and for what the proxy finds in the tunnel; only the
verdicts differ. A fault is raised with the director's name for it.

Where the page is silent, this is what the model takes it to mean:

- A broadcast or multicast MAC is another host's.
- The limit of six extension headers comes first: a seventh is not looked into, be it cut off or a fragment's.
- IPv6 fragment headers end the walk when they fragment; authentication and ESP headers are other protocols.
- An ICMP header below 8 bytes is a fault whatever its type; the code of an echo does not matter.
- A quote is judged in the order of its bytes: header, extension headers, fragment, protocol, ports. A quote of another
  sender than the one that the error goes to comes before what its protocol is.
- Of a quoted echo reply less than 8 bytes are another protocol.
"""

import struct
from dataclasses import dataclass
from enum import Enum, auto

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
VLAN_ETHERTYPES = (0x8100, 0x88A8)
MAX_TAGS = 2

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 0, 43, 44, 60
EXTENSION_HEADERS = (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS)
MAX_EXTENSION_HEADERS = 6

ICMP_ERRORS = {ICMP: (3, 11, 12), ICMPV6: (1, 2, 3, 4)}
ECHO_REQUEST = {ICMP: 8, ICMPV6: 128}
ECHO_REPLY = {ICMP: 0, ICMPV6: 129}
ICMP_OF_VERSION = {4: ICMP, 6: ICMPV6}


class Fault(Exception):
    """A packet that contradicts itself or its frame; the message is the verdict."""


class Kind(Enum):
    """What a packet is to the rules."""

    FLOW = auto()  # TCP or UDP, with ports
    ERROR = auto()  # an ICMP error about TCP, UDP or an echo reply; the flow is the quoted one, reversed
    ECHO = auto()
    FRAGMENT = auto()
    STRANGE_FRAGMENT = auto()  # an ICMP error about a later piece of a datagram, or itself a piece
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Link:
    """An Ethernet header with its VLAN tags."""

    dst: bytes
    src: bytes
    tags: bytes
    ethertype: int
    length: int

    def header(self, dst: bytes, src: bytes, ethertype: int) -> bytes:
        """The same header with other addresses, and with something else behind the tags."""
        return dst + src + self.tags + struct.pack("!H", ethertype)


@dataclass(frozen=True, slots=True)
class Flow:
    """The two ends, as in the client's packets."""

    protocol: int
    src: bytes
    dst: bytes
    sport: int = 0
    dport: int = 0

    @property
    def version(self) -> int:
        return 4 if len(self.src) == 4 else 6


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet: `data` is all of it and nothing more, `l4` where the transport header starts."""

    kind: Kind
    version: int
    traffic_class: int
    flow: Flow
    data: bytes
    l4: int

    @property
    def hop_limit(self) -> int:
        """Or the TTL."""
        return self.data[8 if self.version == 4 else 7]


@dataclass(frozen=True, slots=True)
class IPHeader:
    """What is behind the IP header and its extension headers. `more` and `offset` are the fragment's."""

    version: int
    src: bytes
    dst: bytes
    protocol: int
    length: int
    more: bool = False
    offset: int = 0


def parse_link(frame: bytes) -> Link:
    if len(frame) < 14:
        raise Fault("drop_short_frame")
    end = 14
    while ethertype_at(frame, end - 2) in VLAN_ETHERTYPES and end < 14 + 4 * MAX_TAGS:
        end += 4
        if len(frame) < end:
            raise Fault("drop_short_frame")
    return Link(frame[:6], frame[6:12], frame[12 : end - 2], ethertype_at(frame, end - 2), end)


def ethertype_at(frame: bytes, position: int) -> int:
    return int.from_bytes(frame[position : position + 2], "big")


def parse_packet(data: bytes, version: int) -> Packet:
    """Read what is behind the link header, or in the tunnel. Raises Fault."""
    return parse_ipv4(data) if version == 4 else parse_ipv6(data)


def parse_ipv4(data: bytes) -> Packet:
    header = ipv4_header(data)
    if header is None:
        raise Fault("drop_bad_ip")
    (total,) = struct.unpack_from("!H", data, 2)
    if not header.length <= total <= len(data):
        raise Fault("drop_bad_length")
    return parse_transport(header, data[1], data[:total])


def parse_ipv6(data: bytes) -> Packet:
    if len(data) < 40 or data[0] >> 4 != 6:
        raise Fault("drop_bad_ip")
    (payload,) = struct.unpack_from("!H", data, 4)
    if 40 + payload > len(data):
        raise Fault("drop_bad_length")
    packet = data[: 40 + payload]
    header = ipv6_header(packet, through_first_piece=False)
    if header is None:
        raise Fault("drop_bad_ip")
    (first,) = struct.unpack_from("!H", data)
    return parse_transport(header, first >> 4 & 0xFF, packet)


def ipv4_header(data: bytes) -> IPHeader | None:
    """None if there is no whole header."""
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    length = (data[0] & 0xF) * 4
    if not 20 <= length <= len(data):
        return None
    (fragment,) = struct.unpack_from("!H", data, 6)
    return IPHeader(4, data[12:16], data[16:20], data[9], length, bool(fragment & 0x2000), fragment & 0x1FFF)


def ipv6_header(data: bytes, through_first_piece: bool) -> IPHeader | None:
    """None if the header or one behind it is not whole.

    A seventh extension header is left as the protocol, which is then neither TCP, UDP nor ICMP.
    With `through_first_piece`, the walk continues behind the fragment header of a datagram's first piece.
    """
    if len(data) < 40 or data[0] >> 4 != 6:
        return None
    src, dst, protocol, end, more = data[8:24], data[24:40], data[6], 40, False
    for _ in range(MAX_EXTENSION_HEADERS):
        if protocol not in EXTENSION_HEADERS:
            break
        if len(data) < end + 8:
            return None
        following, start = data[end], end
        end += 8 if protocol == FRAGMENT else 8 * (data[end + 1] + 1)
        if len(data) < end:
            return None
        if protocol == FRAGMENT:
            (bits,) = struct.unpack_from("!H", data, start + 2)
            offset, more = bits >> 3, bool(bits & 1)
            if offset or (more and not through_first_piece):
                return IPHeader(6, src, dst, following, end, more, offset)
        protocol = following
    return IPHeader(6, src, dst, protocol, end, more)


def parse_transport(ip: IPHeader, traffic_class: int, data: bytes) -> Packet:
    def packet(kind: Kind, flow: Flow) -> Packet:
        return Packet(kind, ip.version, traffic_class, flow, data, ip.length)

    rest = data[ip.length :]
    addresses = Flow(ip.protocol, ip.src, ip.dst)
    if ip.more or ip.offset:
        is_of_icmp = ip.protocol == ICMP_OF_VERSION[ip.version]
        if is_of_icmp and not ip.offset and rest[:1] != bytes([ECHO_REQUEST[ip.protocol]]):
            return packet(Kind.STRANGE_FRAGMENT, addresses)
        return packet(Kind.FRAGMENT, addresses)
    if ip.protocol in (TCP, UDP):
        check = tcp_is_whole if ip.protocol == TCP else udp_is_whole
        if not check(rest):
            raise Fault("drop_bad_l4")
        return packet(Kind.FLOW, Flow(ip.protocol, ip.src, ip.dst, *struct.unpack_from("!HH", rest)))
    if ip.protocol != ICMP_OF_VERSION[ip.version]:
        return packet(Kind.OTHER, addresses)
    if len(rest) < 8:
        raise Fault("drop_bad_l4")
    if rest[0] in ICMP_ERRORS[ip.protocol]:
        return packet(*parse_quote(rest[8:], ip))
    return packet(Kind.ECHO if rest[0] == ECHO_REQUEST[ip.protocol] else Kind.OTHER, addresses)


def tcp_is_whole(segment: bytes) -> bool:
    return len(segment) >= 20 and 20 <= (segment[12] >> 4) * 4 <= len(segment)


def udp_is_whole(datagram: bytes) -> bool:
    return len(datagram) >= 8 and 8 <= int.from_bytes(datagram[4:6], "big") <= len(datagram)


def parse_quote(quote: bytes, error: IPHeader) -> tuple[Kind, Flow]:
    """The flow that an ICMP error is about: the server's packet is quoted, so source and destination change places."""
    ip = ipv4_header(quote) if error.version == 4 else ipv6_header(quote, through_first_piece=True)
    if ip is None:
        raise Fault("drop_bad_icmp_quote")
    addresses = Flow(ip.protocol, ip.dst, ip.src)
    if ip.offset:
        return Kind.STRANGE_FRAGMENT, addresses
    if ip.src != error.dst:
        return Kind.OTHER, addresses
    if ip.protocol == ICMP_OF_VERSION[ip.version]:
        message = quote[ip.length : ip.length + 8]
        is_reply = len(message) == 8 and message[0] == ECHO_REPLY[ip.protocol]
        return Kind.ERROR if is_reply else Kind.OTHER, addresses
    if ip.protocol not in (TCP, UDP):
        return Kind.OTHER, addresses
    if len(quote) < ip.length + 8:
        raise Fault("drop_bad_icmp_quote")
    sport, dport = struct.unpack_from("!HH", quote, ip.length)
    return Kind.ERROR, Flow(ip.protocol, ip.dst, ip.src, dport, sport)


def quoted_sequence(error: Packet) -> int:
    """The sequence number of the TCP segment that an ICMP error quotes."""
    quote = error.data[error.l4 + 8 :]
    ip = ipv4_header(quote) if error.version == 4 else ipv6_header(quote, through_first_piece=True)
    assert ip is not None
    (sequence,) = struct.unpack_from("!I", quote, ip.length + 4)
    return int(sequence)
