# SPDX-License-Identifier: MIT
"""The director, modelled: a frame and the configuration in, a verdict and a frame out.

Written from docs/datapath.md and the wire format. Where they are silent, the model takes it that:

- An echo that is left to the stack (`pass`) is `pass_no_bind`; so is one to an address that no bind holds.
- Where two binds of equal prefix hold an echo's address, the last in the file matches.
- The code of an echo request is not looked at, nor is any checksum of what comes in.
- A fragment of TCP or UDP to an address that no bind holds is `pass_fragment`.
- Alternative hash fields with ports make it so, too: the pieces of a datagram would have different hops.
- Of a fragment, the ports count as 0 for the tunnel's source port, too. Of an ICMPv6 echo, for which any value would
  do, the identifier counts.
- The answer to a packet that is too big has TOS, traffic class and flow label 0.
- Size comes after the row and before the next hop: a packet without hops has no outer length.
- An answered echo keeps its code; its length is what the packet's own says.
- Of an ICMP error, the addresses that are judged are those of the quoted connection.

The kernel's routes (`egress: fib`) and the headroom are not modelled.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address

from .checksum import checksum, pseudo_header, updated
from .headers import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ICMP,
    ICMP_OF_VERSION,
    ICMPV6,
    TCP,
    UDP,
    Fault,
    Flow,
    Kind,
    Link,
    Packet,
    parse_link,
    parse_packet,
)
from .rendezvous import hops_of_row
from .setup import DEFAULT_FIELDS, Bind, Document, bind_of, chosen, echo_choice, hashed, packed_address, packed_mac
from .siphash import siphash

GUE_PORT = 19523
GUE_PROTOCOL = {4: 4, 6: 41}
VERSION_OF_ETHERTYPE = {ETHERTYPE_IPV4: 4, ETHERTYPE_IPV6: 6}
QUOTED_BYTES = {4: 96, 6: 256}
LEAST_IPV6_MTU = 1280
TTL = 64
DONT_FRAGMENT, OFFSET = 0x4000, 0x1FFF
FRAGMENTATION_NEEDED = bytes((3, 4))
LIMITED_BROADCAST = IPv4Address("255.255.255.255")
CLASS_E = 240  # the first byte of 240.0.0.0/4


@dataclass(frozen=True, slots=True)
class Result:
    """What becomes of a frame; `frame` is None if it is dropped."""

    verdict: str
    frame: bytes | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The hops of a packet, first to last, and the hash by which they were chosen."""

    hops: tuple[bytes, ...]
    pkt_hash: int

    @property
    def tunnel_length(self) -> int:
        """Outer IPv4, UDP, GUE, private data, and the hops behind the first."""
        return 20 + 8 + 4 + 4 + 4 * (len(self.hops) - 1)


class Stop(Exception):
    """The end of the packet's processing; the message is the verdict."""


@dataclass(frozen=True)
class Director:
    """`mac` and `mtu` are the interface's; `next_hops` has the MAC of each backend's next hop, where it is resolved and
    the configuration has no gateway's; `mtus` that of the path to a backend, where it is less; `may_answer` is what
    the rate limit says.
    """

    config: Document
    tables: tuple[Document, ...]
    mac: bytes
    mtu: int = 65535
    next_hops: Mapping[bytes, bytes] = field(default_factory=dict)
    mtus: Mapping[bytes, int] = field(default_factory=dict)
    may_answer: bool = True

    @cached_property
    def binds(self) -> tuple[Bind, ...]:
        """All binds, the last in the file first; of equal ones, only the last."""
        listed = [bind_of(number, bind) for number, table in enumerate(self.tables) for bind in table["binds"]]
        found: list[Bind] = []
        for bind in reversed(listed):
            if not any(replace(bind, table=earlier.table) == earlier for earlier in found):
                found.append(bind)
        return tuple(found)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return chosen(self.config.get("hash_fields", DEFAULT_FIELDS))

    @cached_property
    def alt_fields(self) -> tuple[str, ...]:
        return chosen(self.config.get("alt_hash_fields"))

    @cached_property
    def way_mtu(self) -> int:
        return int(self.config.get("mtu") or self.mtu)

    def path_mtu(self, choice: Choice) -> int:
        """The MTU of the paths to all hops: the packet may be forwarded to any of them."""
        return min(self.way_mtu, *(self.mtus.get(hop, self.way_mtu) for hop in choice.hops))

    @cached_property
    def source(self) -> bytes:
        return packed_address(self.config["outbound_src_ip"])

    def run(self, frame: bytes) -> Result:
        try:
            link = parse_link(frame)
            packet = self.packet_behind(link, frame)
            table = self.classify(packet)
            if is_no_host(packet.flow.src) or packet.flow.src == packet.flow.dst:
                raise Stop("drop_martian")
            if packet.kind is Kind.ECHO and echo_choice(self.config) == "answer" and is_plain(packet):
                self.check_answer(link)
                return Result("answered_echo", self.answer_echo(link, packet))
            if packet.hop_limit == 0:
                raise Stop("drop_ttl_zero")
            choice = self.choose(table, packet.flow)
            if choice.tunnel_length + len(packet.data) > self.path_mtu(choice):
                return self.too_big(link, packet, choice)
            return Result("encapsulated", self.encapsulate(link, packet, choice))
        except (Fault, Stop) as stop:
            verdict = str(stop)
            return Result(verdict, frame if verdict.startswith("pass_") else None)

    def packet_behind(self, link: Link, frame: bytes) -> Packet:
        version = VERSION_OF_ETHERTYPE.get(link.ethertype)
        if version is None:
            raise Stop("pass_not_ip")
        if link.dst != self.mac:
            raise Stop("pass_other_host")
        return parse_packet(frame[link.length :], version)

    def classify(self, packet: Packet) -> Document:
        """The table that the packet belongs to."""
        if packet.kind is Kind.STRANGE_FRAGMENT:
            raise Stop("pass_fragment")
        if is_no_host(packet.flow.dst):
            raise Stop("pass_fragment" if packet.kind is Kind.FRAGMENT else "pass_no_bind")
        if packet.kind is Kind.FRAGMENT:
            return self.table_of_fragment(packet.flow)
        if packet.kind is Kind.OTHER:
            raise Stop("pass_no_bind")
        if packet.kind is Kind.ECHO or packet.flow.protocol == ICMP_OF_VERSION[packet.version]:
            return self.table_of_icmp(packet.flow, none="pass_no_bind")
        binds = [bind for bind in self.binds_of(packet.flow) if bind.holds_port(packet.flow.dport)]
        if not binds and self.is_about_tunnel(packet):
            about_size = packet.data[packet.l4 : packet.l4 + 2] == FRAGMENTATION_NEEDED
            raise Stop("pass_path_mtu" if about_size else "pass_tunnel_error")
        return self.best_of(binds)

    def is_about_tunnel(self, packet: Packet) -> bool:
        """Whether an ICMP error quotes what this director sent through the tunnel."""
        flow = packet.flow
        return packet.kind is Kind.ERROR and (flow.protocol, flow.sport, flow.dst) == (UDP, GUE_PORT, self.source)

    def binds_of(self, flow: Flow) -> list[Bind]:
        """Those of the flow's address and protocol, whatever their ports."""
        return [bind for bind in self.binds if bind.protocol == flow.protocol and bind.holds_address(flow.dst)]

    def check_answer(self, link: Link) -> None:
        """Answers go to the MAC that a frame came from."""
        if link.src[0] & 1 or link.src in (bytes(6), self.mac):
            raise Stop("drop_martian")
        if not self.may_answer:
            raise Stop("drop_answer_limit")

    def best_of(self, binds: list[Bind]) -> Document:
        """min() keeps the first of equals: the last in the file."""
        if not binds:
            raise Stop("pass_no_bind")
        return self.tables[min(binds, key=lambda bind: (-bind.prefix, bind.ports)).table]

    def table_of_fragment(self, flow: Flow) -> Document:
        if flow.protocol == ICMP_OF_VERSION[flow.version]:
            return self.table_of_icmp(flow, none="pass_fragment")
        tables = {bind.table for bind in self.binds_of(flow)}
        hashes_ports = {"src_port", "dst_port"} & {*self.fields, *self.alt_fields}
        if flow.protocol not in (TCP, UDP) or len(tables) != 1 or hashes_ports:
            raise Stop("pass_fragment")
        return self.tables[tables.pop()]

    def table_of_icmp(self, flow: Flow, none: str) -> Document:
        """That of echoes, and of pieces of ICMP, which may be an echo's. none: the verdict if there is none."""
        holding = [bind for bind in self.binds if bind.holds_address(flow.dst)]
        if not holding or echo_choice(self.config) == "pass":
            raise Stop(none)
        return self.tables[min(holding, key=lambda bind: -bind.prefix).table]

    def choose(self, table: Document, flow: Flow) -> Choice:
        key = bytes.fromhex(table["hash_key"])
        pkt_hash = siphash(key, hashed(flow, self.fields))
        rows = [pkt_hash & 0xFFFF]
        if self.alt_fields:
            rows.append(siphash(key, hashed(flow, self.alt_fields)) & 0xFFFF)
        hops = tuple(packed_address(backend["ip"]) for row in rows for backend in hops_of_row(table, row))
        return Choice(hops, pkt_hash)

    def next_hop_mac(self, hop: bytes) -> bytes:
        if "outbound_gateway_mac" in self.config:
            return packed_mac(self.config["outbound_gateway_mac"])
        if hop not in self.next_hops:
            raise Stop("drop_no_next_hop")
        return self.next_hops[hop]

    def encapsulate(self, link: Link, packet: Packet, choice: Choice) -> bytes:
        mac = self.next_hop_mac(choice.hops[0])
        behind = choice.hops[1:]
        gue = struct.pack("!BBHHBB", 1 + len(behind), GUE_PROTOCOL[packet.version], 0, 0, 0, len(behind))
        payload = gue + b"".join(behind) + packet.data
        udp = struct.pack("!HHHH", source_port(packet, choice), GUE_PORT, 8 + len(payload), 0)
        kept = 0xFF if self.config.get("copy_dscp", False) else 0x03
        tos = packet.traffic_class & kept
        outer = ipv4_packet(self.source, choice.hops[0], UDP, udp + payload, tos, DONT_FRAGMENT)
        return link.header(mac, self.mac, ETHERTYPE_IPV4) + outer

    def too_big(self, link: Link, packet: Packet, choice: Choice) -> Result:
        if not may_report_error(packet):
            return Result("drop_too_big", None)
        self.check_answer(link)
        mtu = self.path_mtu(choice) - choice.tunnel_length
        error = fragmentation_needed if packet.version == 4 else packet_too_big
        return Result("answered_too_big", link.header(link.src, link.dst, link.ethertype) + error(packet, mtu))

    def answer_echo(self, link: Link, packet: Packet) -> bytes:
        turn = echo_reply if packet.version == 4 else echo_reply_v6
        return link.header(link.src, link.dst, link.ethertype) + turn(packet)


def is_no_host(address: bytes) -> bool:
    """Whether no host off the link may have the address: what Linux takes for martian, or does not forward."""
    number = ip_address(address)
    if isinstance(number, IPv6Address):
        special = number.is_unspecified or number.is_loopback or number.is_link_local or number.is_multicast
        return special or number.ipv4_mapped is not None
    return number.is_unspecified or number.is_loopback or number.is_multicast or number == LIMITED_BROADCAST


def is_plain(packet: Packet) -> bool:
    """Whether ICMP follows directly behind an IP header without options."""
    return packet.l4 == {4: 20, 6: 40}[packet.version]


def may_report_error(packet: Packet) -> bool:
    """Whether an ICMP error may be sent about a packet (RFC 1122, 3.2.2; RFC 1812, 4.3.2.7; RFC 4443, 2.4)."""
    if packet.kind is Kind.ERROR:
        return False
    if packet.version == 6:
        return True
    (fragment,) = struct.unpack_from("!H", packet.data, 6)
    names_no_host = packet.data[12] == 0 or packet.data[12] >= CLASS_E
    is_whole = checksum(packet.data[: packet.l4]) == 0
    return bool(fragment & DONT_FRAGMENT) and not fragment & OFFSET and not names_no_host and is_whole


def source_port(packet: Packet, choice: Choice) -> int:
    """The tunnel's UDP source port: the same for all packets of a flow."""
    flow_hash = packet.flow.sport
    if packet.kind is Kind.ECHO:
        (flow_hash,) = struct.unpack_from("!H", packet.data, 4 if packet.version == 4 else packet.l4 + 4)
    return 0x8000 | ((choice.pkt_hash ^ flow_hash) & 0x7FFF)


def ipv4_packet(src: bytes, dst: bytes, protocol: int, payload: bytes, tos: int = 0, fragment: int = 0) -> bytes:
    def header(check: int) -> bytes:
        return struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(payload), 0, fragment, TTL, protocol, check) + src + dst

    return header(checksum(header(0))) + payload


def fragmentation_needed(packet: Packet, mtu: int) -> bytes:
    """Type 3, code 4, from the address that the client spoke to."""
    quote = packet.data[: QUOTED_BYTES[4]]
    check = checksum(struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quote)
    return ipv4_packet(packet.flow.dst, packet.flow.src, ICMP, struct.pack("!BBHHH", 3, 4, check, 0, mtu) + quote)


def packet_too_big(packet: Packet, mtu: int) -> bytes:
    """Type 2, code 0, from the address that the client spoke to."""
    src, dst = packet.flow.dst, packet.flow.src
    reported = max(mtu, LEAST_IPV6_MTU)
    quote = packet.data[: QUOTED_BYTES[6]]
    length = 8 + len(quote)
    covered = pseudo_header(src, dst, ICMPV6, length) + struct.pack("!BBHI", 2, 0, 0, reported) + quote
    icmp = struct.pack("!BBHI", 2, 0, checksum(covered), reported) + quote
    return struct.pack("!IHBB", 6 << 28, length, ICMPV6, TTL) + src + dst + icmp


def echo_reply(packet: Packet) -> bytes:
    """The echo with addresses exchanged, as a reply, with a fresh TTL."""
    data = bytearray(packet.data)
    before = bytes(data[8:10])
    data[8] = TTL
    (check,) = struct.unpack_from("!H", data, 10)
    struct.pack_into("!H", data, 10, updated(check, before, bytes(data[8:10])))
    data[12:16], data[16:20] = data[16:20], data[12:16]
    return turned(data, packet.l4, 0)


def echo_reply_v6(packet: Packet) -> bytes:
    """Exchanging the addresses leaves the checksum's pseudo-header the same in sum."""
    data = bytearray(packet.data)
    data[7] = TTL
    data[8:24], data[24:40] = data[24:40], data[8:24]
    return turned(data, packet.l4, 129)


def turned(data: bytearray, l4: int, reply: int) -> bytes:
    """The packet with another ICMP type."""
    before = bytes(data[l4 : l4 + 2])
    data[l4] = reply
    (check,) = struct.unpack_from("!H", data, l4 + 2)
    struct.pack_into("!H", data, l4 + 2, updated(check, before, bytes(data[l4 : l4 + 2])))
    return bytes(data)
