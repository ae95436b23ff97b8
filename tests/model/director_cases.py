# SPDX-License-Identifier: MIT
"""Named packets for the director: each rule of docs/datapath.md, in its order, at least once on each side."""

from ipaddress import ip_network
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q
from scapy.packet import Packet, Raw

from .cases import Case, Setup, cut
from .cases import frame as any_frame
from .director import Director
from .places import CONFIG, DIRECTOR_MAC
from .setup import packed_address, packed_mac

VIP4, VIP6 = "203.0.113.10", "2001:db8:f::10"
SHARED4 = "203.0.113.20"  # two tables have binds of it
CLIENT4, CLIENT6 = "198.18.3.4", "2001:db8:c::4"
ROUTER4, ROUTER6 = "192.0.2.1", "2001:db8:1::1"
ROUTER_MAC = "02:00:00:00:00:aa"


def frame(*layers: Packet | bytes, dst: str = DIRECTOR_MAC) -> Packet:
    return any_frame(*layers, src=ROUTER_MAC, dst=dst)


def bind(ip: str, proto: str, *ports: int) -> dict[str, Any]:
    if len(ports) == 1:
        return {"ip": ip, "proto": proto, "port": ports[0]}
    return {"ip": ip, "proto": proto, "port_start": ports[0], "port_end": ports[1]}


def table(name: str, binds: list[dict[str, Any]], *backends: str, **keys: Any) -> dict[str, Any]:
    return {
        "name": name,
        "hash_key": "000102030405060708090a0b0c0d0e0f",
        "seed": "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        "binds": binds,
        "backends": [{"ip": ip, "state": "active", "healthy": True} for ip in backends],
    } | keys


BACKENDS = ("10.0.0.11", "10.0.0.12", "10.0.0.13")
WEB = table(
    "web",
    [
        bind(VIP4, "tcp", 80),
        bind(VIP6, "tcp", 80),
        bind(VIP4, "udp", 53),
        bind(VIP6, "udp", 53),
        bind(SHARED4, "tcp", 80),
    ],
    *BACKENDS,
)
WIDE = [
    WEB,
    table("range", [bind(SHARED4, "tcp", 1000, 2000)], "10.0.0.21"),
    table("net24", [bind("203.0.113.0/24", "tcp", 1, 65535), bind("203.0.113.0/24", "udp", 443)], "10.0.0.23"),
    table("narrow", [bind("203.0.113.0/24", "tcp", 1500, 1510)], "10.0.0.22"),
    table("early", [bind("203.0.77.0/24", "udp", 3000, 3010)], "10.0.0.25"),
    table("late", [bind("203.0.77.0/24", "udp", 3005, 3015)], "10.0.0.26"),
    table("net16", [bind("203.0.0.0/16", "tcp", 80), bind("2001:db8:f::/48", "udp", 1, 1023)], "10.0.0.24"),
]
BUT_OWN = ip_network("0.0.0.0/1").address_exclude(ip_network(CONFIG["outbound_src_ip"]))
EVERYTHING = [
    table(
        "everything",
        [
            bind(ip, proto, 1, 65535)
            for ip in (*map(str, BUT_OWN), "128.0.0.0/1", "::/1", "8000::/1")
            for proto in ("tcp", "udp")
        ],
        *BACKENDS,
    )
]
FORWARD = CONFIG | {"icmp_echo": "forward"}
PORTS = {"src_addr": True, "dst_addr": False, "src_port": True, "dst_port": False}

SETUPS: dict[str, Setup] = {
    "plain": (FORWARD, [WEB]),
    "wide": (FORWARD, WIDE),
    "everything": (FORWARD, EVERYTHING),
    "answer": (CONFIG | {"icmp_echo": "answer"}, [WEB]),
    "pass": (CONFIG | {"icmp_echo": "pass"}, [WEB]),
    "ports": (FORWARD | {"hash_fields": PORTS}, [WEB]),
    "alt": (FORWARD | {"alt_hash_fields": PORTS}, [WEB]),
    "dscp": (FORWARD | {"copy_dscp": True}, [WEB]),
    "mtu": (FORWARD | {"mtu": 1500}, [WEB]),
    "small": (FORWARD, [WEB]),
    "paths": (FORWARD, [WEB]),
    "unknown": ({key: value for key, value in FORWARD.items() if key != "outbound_gateway_mac"}, [WEB]),
}

INTERFACE_MTU = {"small": 1280}
"""Of setups whose interface has another MTU than the others'."""

PATH_MTUS = {"paths": {"10.0.0.11": 1500, "10.0.0.12": 1400}}
"""MTUs of paths, which are not part of any file. A row of three hops has all three backends."""

_MTU = 9000


def model(setup: str) -> Director:
    """The reference model in a setup."""
    config, tables = SETUPS[setup]
    mtus = {packed_address(backend): mtu for backend, mtu in PATH_MTUS.get(setup, {}).items()}
    return Director(config, tuple(tables), packed_mac(DIRECTOR_MAC), INTERFACE_MTU.get(setup, _MTU), mtus=mtus)


DF4 = IP(src=CLIENT4, dst=VIP4, flags="DF")
IP4, IP6 = IP(src=CLIENT4, dst=VIP4), IPv6(src=CLIENT6, dst=VIP6)
SYN = TCP(sport=4711, dport=80, flags="S")
QUERY = UDP(sport=4711, dport=53)
TCP4, TCP6 = frame(IP4 / SYN / Raw(bytes(100))), frame(IP6 / SYN / Raw(bytes(100)))
UDP4, UDP6 = frame(IP4 / QUERY / Raw(bytes(30))), frame(IP6 / QUERY / Raw(bytes(30)))
SERVER4, SERVER6 = IP(src=VIP4, dst=CLIENT4), IPv6(src=VIP6, dst=CLIENT6)
ANSWER = TCP(sport=80, dport=4711, seq=1)
HOP = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0\0\0\0")])
DEST = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))])
ROUTE = IPv6ExtHdrRouting(segleft=0)
ATOMIC = IPv6ExtHdrFragment(m=0, offset=0, id=7)
PADDING = b"\xee" * 6


def error4(quote: Packet | bytes, kind: int = 3, code: int = 4) -> Packet:
    return frame(IP(src=ROUTER4, dst=VIP4) / ICMP(type=kind, code=code) / Raw(bytes(quote)))


def error6(quote: Packet | bytes, layer: Packet | None = None) -> Packet:
    return frame(IPv6(src=ROUTER6, dst=VIP6) / (layer or ICMPv6PacketTooBig(mtu=1280)) / Raw(bytes(quote)))


def quoted_length(packet: Packet, length: int) -> bytes:
    return bytes(packet)[:length]


def with_ip(packet: Packet, at: int, value: bytes) -> bytes:
    """The frame with bytes of its IP header changed after all else was filled in."""
    data = bytearray(bytes(packet))
    data[14 + at : 14 + at + len(value)] = value
    return bytes(data)


ETHERNET = [
    Case(
        "header-alone",
        "An Ethernet header with nothing behind it says IPv4 and has none.",
        cut(TCP4, 14),
        "drop_bad_ip",
    ),
    Case("vlan", "A VLAN tag is stepped over and kept on the tunnel.", frame(Dot1Q(vlan=5), IP4 / SYN), "encapsulated"),
    Case("vlan-v6", "So it is before IPv6; the tag then leads IPv4.", frame(Dot1Q(vlan=5), IP6 / SYN), "encapsulated"),
    Case("service-vlan", "802.1ad alone is a tag too.", frame(Dot1AD(vlan=9), IP4 / SYN), "encapsulated"),
    Case(
        "two-tags",
        "802.1ad and 802.1Q: both are kept.",
        frame(Dot1AD(vlan=9), Dot1Q(vlan=5, prio=3), IP4 / SYN),
        "encapsulated",
    ),
    Case(
        "three-tags",
        "A third tag is not stepped over.",
        frame(Dot1Q(vlan=1), Dot1Q(vlan=2), Dot1Q(vlan=3), IP4 / SYN),
        "pass_not_ip",
    ),
    Case(
        "tag-cut-off", "A frame that ends inside its tag.", cut(frame(Dot1Q(vlan=5), IP4 / SYN), 17), "drop_short_frame"
    ),
    Case(
        "second-tag-cut-off",
        "A frame that ends inside its second tag.",
        cut(frame(Dot1Q(vlan=5), Dot1Q(vlan=6), IP4), 21),
        "drop_short_frame",
    ),
    Case("tagged-arp", "Behind a tag, too, what is not IP is not IP.", frame(Dot1Q(vlan=5), ARP()), "pass_not_ip"),
    Case("arp", "ARP is the stack's.", frame(ARP(), dst="ff:ff:ff:ff:ff:ff"), "pass_not_ip"),
    Case(
        "other-host",
        "A frame for another host is left alone.",
        frame(IP4 / SYN, dst="02:00:00:00:00:02"),
        "pass_other_host",
    ),
    Case(
        "broadcast",
        "A broadcast is not for this host's MAC.",
        frame(IP4 / SYN, dst="ff:ff:ff:ff:ff:ff"),
        "pass_other_host",
    ),
    Case(
        "bad-for-other-host",
        "What is not for this host is not judged.",
        cut(frame(IP4 / SYN, dst="02:00:00:00:00:02"), 30),
        "pass_other_host",
    ),
]
IPV4 = [
    Case("v4-tcp", "A TCP packet to a bind is tunnelled.", bytes(TCP4), "encapsulated"),
    Case("v4-udp", "So is UDP.", bytes(UDP4), "encapsulated"),
    Case(
        "v4-udp-checksum-0",
        "A UDP checksum of 0 is none.",
        bytes(frame(IP4 / UDP(sport=1, dport=53, chksum=0))),
        "encapsulated",
    ),
    Case(
        "v4-options",
        "Options are stepped over.",
        frame(IP(src=CLIENT4, dst=VIP4, options=b"\x07\x0b\x04" + bytes(9)) / SYN),
        "encapsulated",
    ),
    Case(
        "v4-most-options",
        "A header of 60 bytes is the longest.",
        frame(IP(src=CLIENT4, dst=VIP4, options=b"\x01" * 40) / SYN),
        "encapsulated",
    ),
    Case("v4-padded", "Ethernet padding is cut off.", bytes(frame(IP4 / SYN)) + PADDING, "encapsulated"),
    Case(
        "v4-padded-tagged", "So it is behind a tag.", bytes(frame(Dot1Q(vlan=5), IP4 / SYN)) + PADDING, "encapsulated"
    ),
    Case("v4-cut-in-header", "A header that is cut off.", cut(TCP4, 33), "drop_bad_ip"),
    Case(
        "v4-cut-in-options",
        "Options that are cut off.",
        cut(frame(IP(dst=VIP4, options=b"\x01" * 40) / SYN), 60),
        "drop_bad_ip",
    ),
    Case("v4-version-6", "IPv6 behind IPv4's EtherType.", with_ip(TCP4, 0, b"\x65"), "drop_bad_ip"),
    Case("v4-header-16", "A header of 16 bytes is none.", with_ip(TCP4, 0, b"\x44"), "drop_bad_ip"),
    Case("v4-cut", "Shorter than it says.", cut(TCP4, 120), "drop_bad_length"),
    Case("v4-one-byte-short", "Shorter than it says by one byte.", cut(TCP4, len(TCP4) - 1), "drop_bad_length"),
    Case(
        "v4-length-below-header", "A total length below the header's.", with_ip(TCP4, 2, b"\x00\x13"), "drop_bad_length"
    ),
    Case(
        "v4-length-below-options",
        "Below the header's with its options.",
        with_ip(frame(IP(src=CLIENT4, dst=VIP4, options=b"\x01" * 8) / SYN), 2, b"\x00\x14"),
        "drop_bad_length",
    ),
    Case("v4-length-zero", "A total length of 0.", with_ip(TCP4, 2, b"\x00\x00"), "drop_bad_length"),
    Case(
        "v4-length-ends-in-tcp",
        "The packet ends where its length says, so TCP is cut off.",
        with_ip(TCP4, 2, b"\x00\x27"),
        "drop_bad_l4",
    ),
    Case(
        "v4-header-reserved-bit",
        "The reserved bit beside the fragment's flags means nothing.",
        with_ip(TCP4, 6, b"\x80\x00"),
        "encapsulated",
    ),
]
IPV6 = [
    Case("v6-tcp", "TCP in IPv6 is tunnelled over IPv4.", bytes(TCP6), "encapsulated"),
    Case("v6-udp", "So is UDP.", bytes(UDP6), "encapsulated"),
    Case("v6-padded", "Padding is cut off.", bytes(TCP6) + PADDING, "encapsulated"),
    Case(
        "v6-flow-label",
        "Flow label and traffic class are no part of the flow.",
        frame(IPv6(src=CLIENT6, dst=VIP6, fl=0xABCDE, tc=0x28) / SYN),
        "encapsulated",
    ),
    Case("v6-hop-by-hop", "Hop-by-hop options are stepped over.", frame(IP6 / HOP / SYN), "encapsulated"),
    Case("v6-routing", "A routing header is stepped over.", frame(IP6 / ROUTE / SYN), "encapsulated"),
    Case(
        "v6-destination", "Destination options of 16 bytes are stepped over.", frame(IP6 / DEST / SYN), "encapsulated"
    ),
    Case(
        "v6-atomic-fragment",
        "A fragment header that does not fragment is stepped over.",
        frame(IP6 / ATOMIC / SYN),
        "encapsulated",
    ),
    Case(
        "v6-all-kinds", "One after the other.", frame(IP6 / HOP / DEST / ROUTE / ATOMIC / DEST / QUERY), "encapsulated"
    ),
    Case(
        "v6-six",
        "Six extension headers are stepped over.",
        frame(IP6 / HOP / DEST / ROUTE / DEST / ATOMIC / DEST / SYN),
        "encapsulated",
    ),
    Case(
        "v6-seven",
        "A seventh is not.",
        frame(IP6 / HOP / DEST / ROUTE / DEST / ATOMIC / DEST / DEST / SYN),
        "pass_no_bind",
    ),
    Case(
        "v6-seventh-fragments",
        "Not even if it fragments.",
        frame(IP6 / HOP / DEST / ROUTE / DEST / ATOMIC / DEST / IPv6ExtHdrFragment(m=1) / SYN),
        "pass_no_bind",
    ),
    Case(
        "v6-extension-cut-off",
        "An extension header that the packet does not hold.",
        with_ip(frame(IP6 / HOP / SYN), 41, b"\xff"),
        "drop_bad_ip",
    ),
    Case(
        "v6-extension-beyond-length",
        "One that the frame holds but the payload length does not.",
        with_ip(frame(IP6 / DEST / SYN), 4, b"\x00\x0f"),
        "drop_bad_ip",
    ),
    Case(
        "v6-extension-missing",
        "One that is announced and not there.",
        with_ip(frame(IP6 / DEST / SYN), 4, b"\x00\x00"),
        "drop_bad_ip",
    ),
    Case(
        "v6-no-next-header",
        "No next header: the protocol is unknown.",
        frame(IPv6(src=CLIENT6, dst=VIP6, nh=59)),
        "pass_no_bind",
    ),
    Case(
        "v6-authentication",
        "An authentication header is another protocol.",
        frame(IPv6(src=CLIENT6, dst=VIP6, nh=51) / Raw(b"\x06\x04" + bytes(22)) / SYN),
        "pass_no_bind",
    ),
    Case(
        "v6-icmpv4",
        "ICMPv4 in IPv6 is another protocol.",
        frame(IPv6(src=CLIENT6, dst=VIP6, nh=1) / Raw(bytes(8))),
        "pass_no_bind",
    ),
    Case("v6-cut-in-header", "A header that is cut off.", cut(TCP6, 53), "drop_bad_ip"),
    Case("v6-version-4", "Version 4 behind IPv6's EtherType.", with_ip(TCP6, 0, b"\x40"), "drop_bad_ip"),
    Case("v6-cut", "Shorter than it says.", cut(TCP6, 120), "drop_bad_length"),
    Case("v6-one-byte-short", "Shorter than it says by one byte.", cut(TCP6, len(TCP6) - 1), "drop_bad_length"),
    Case(
        "v6-length-ends-in-tcp",
        "The packet ends where its payload length says.",
        with_ip(TCP6, 4, b"\x00\x13"),
        "drop_bad_l4",
    ),
    Case("v6-length-zero", "A payload length of 0 is no jumbogram.", with_ip(TCP6, 4, b"\x00\x00"), "drop_bad_l4"),
]
FIRST4, LATER4 = IP(src=CLIENT4, dst=VIP4, flags="MF"), IP(src=CLIENT4, dst=VIP4, frag=9, proto=17)
FIRST6, LATER6 = IPv6ExtHdrFragment(m=1, id=5), IPv6ExtHdrFragment(m=0, offset=9, nh=17, id=5)
PIECE = Raw(bytes(64))
PIECE6_OF_ICMP = IPv6ExtHdrFragment(m=1, nh=58)
FRAGMENTS = [
    Case(
        "v4-first-piece",
        "The first piece goes by its addresses and protocol.",
        frame(FIRST4 / QUERY / PIECE),
        "encapsulated",
    ),
    Case("v4-later-piece", "And the last piece follows it.", frame(LATER4 / PIECE), "encapsulated"),
    Case(
        "v4-middle-piece",
        "So does one between them.",
        frame(IP(src=CLIENT4, dst=VIP4, frag=9, flags="MF", proto=17) / PIECE),
        "encapsulated",
    ),
    Case(
        "v4-farthest-piece",
        "All 13 bits of the offset count.",
        frame(IP(src=CLIENT4, dst=VIP4, frag=0x1000, proto=17) / PIECE),
        "encapsulated",
    ),
    Case(
        "v4-tiny-piece",
        "A fragment needs no transport header.",
        frame(IP(src=CLIENT4, dst=VIP4, flags="MF", proto=6) / Raw(b"12345678")),
        "encapsulated",
    ),
    Case("v6-first-piece", "IPv6's first piece.", frame(IP6 / FIRST6 / QUERY / PIECE), "encapsulated"),
    Case("v6-later-piece", "IPv6's later piece.", frame(IP6 / LATER6 / PIECE), "encapsulated"),
    Case(
        "v6-piece-behind-options",
        "A fragment header behind hop-by-hop options.",
        frame(IP6 / HOP / LATER6 / PIECE),
        "encapsulated",
    ),
    Case(
        "v6-piece-of-options",
        "What a fragment header names is the protocol, even if it is an extension header.",
        frame(IP6 / IPv6ExtHdrFragment(m=1, nh=60) / DEST / SYN),
        "pass_fragment",
    ),
    Case(
        "v6-fragment-header-cut",
        "A fragment header that is cut off.",
        with_ip(frame(IP6 / LATER6 / PIECE), 4, b"\x00\x07"),
        "drop_bad_ip",
    ),
    Case(
        "piece-to-no-port",
        "Later fragments have no ports, so that of the first one is not used.",
        frame(FIRST4 / UDP(dport=9999) / PIECE),
        "encapsulated",
    ),
    Case(
        "piece-without-bind",
        "An address without binds.",
        frame(IP(src=CLIENT4, dst="203.0.113.99", flags="MF") / QUERY / PIECE),
        "pass_fragment",
    ),
    Case("piece-of-echo", "Pieces of an echo go by addresses.", frame(FIRST4 / ICMP(type=8) / PIECE), "encapsulated"),
    Case(
        "later-piece-of-echo",
        "The later ones, too, which do not show that they are an echo's.",
        frame(IP(src=CLIENT4, dst=VIP4, frag=9, proto=1) / PIECE),
        "encapsulated",
    ),
    Case(
        "v6-piece-of-echo", "IPv6's as well.", frame(IP6 / PIECE6_OF_ICMP / ICMPv6EchoRequest() / PIECE), "encapsulated"
    ),
    Case(
        "v6-later-piece-of-echo",
        "And its later ones.",
        frame(IP6 / IPv6ExtHdrFragment(m=0, offset=9, nh=58) / PIECE),
        "encapsulated",
    ),
    Case(
        "piece-of-echo-answered",
        "The director does not put pieces together: where it answers echoes, these go to a proxy.",
        frame(FIRST4 / ICMP(type=8) / PIECE),
        "encapsulated",
        "answer",
    ),
    Case(
        "v6-piece-of-echo-answered",
        "IPv6's, too.",
        frame(IP6 / PIECE6_OF_ICMP / ICMPv6EchoRequest() / PIECE),
        "encapsulated",
        "answer",
    ),
    Case("piece-of-echo-passed", "Or to the stack.", frame(FIRST4 / ICMP(type=8) / PIECE), "pass_fragment", "pass"),
    Case(
        "v6-piece-of-echo-passed",
        "IPv6's, too.",
        frame(IP6 / PIECE6_OF_ICMP / ICMPv6EchoRequest() / PIECE),
        "pass_fragment",
        "pass",
    ),
    Case(
        "piece-of-echo-hashed-by-port",
        "Echoes have no ports, so that all pieces have the same hash.",
        frame(FIRST4 / ICMP(type=8) / PIECE),
        "encapsulated",
        "ports",
    ),
    Case(
        "piece-of-echo-to-network",
        "The longest prefix that holds the address counts, as for an echo.",
        frame(IP(src=CLIENT4, dst="203.0.113.99", flags="MF") / ICMP(type=8) / PIECE),
        "encapsulated",
        "wide",
    ),
    Case(
        "piece-of-icmp-error",
        "A first piece that shows another type is no echo's.",
        frame(FIRST4 / ICMP(type=3, code=4) / PIECE),
        "pass_fragment",
    ),
    Case(
        "v6-piece-of-icmp-error",
        "IPv6's, too.",
        frame(IP6 / PIECE6_OF_ICMP / ICMPv6PacketTooBig() / PIECE),
        "pass_fragment",
    ),
    Case("v6-piece-of-nothing", "Nor is one that shows none.", frame(IP6 / PIECE6_OF_ICMP), "pass_fragment"),
    Case(
        "piece-of-echo-without-bind",
        "An address without binds.",
        frame(IP(src=CLIENT4, dst="203.0.113.99", flags="MF") / ICMP(type=8) / PIECE),
        "pass_fragment",
    ),
    Case(
        "piece-of-icmpv6-in-v4",
        "Pieces of ICMPv6 in IPv4 are of neither.",
        frame(IP(src=CLIENT4, dst=VIP4, frag=9, proto=58) / PIECE),
        "pass_fragment",
    ),
    Case(
        "piece-of-icmp-in-v6",
        "And those of ICMP in IPv6.",
        frame(IP6 / IPv6ExtHdrFragment(m=1, nh=1) / PIECE),
        "pass_fragment",
    ),
    Case(
        "piece-of-neither",
        "Pieces of another protocol.",
        frame(IP(src=CLIENT4, dst=VIP4, frag=9, proto=47) / PIECE),
        "pass_fragment",
    ),
    Case(
        "piece-two-tables",
        "Two tables have the address and protocol: the fragment's table is unknown.",
        frame(IP(src=CLIENT4, dst=SHARED4, flags="MF") / SYN / PIECE),
        "pass_fragment",
        "wide",
    ),
    Case(
        "piece-one-table",
        "UDP there is one table's.",
        frame(IP(src=CLIENT4, dst=SHARED4, flags="MF") / UDP(dport=7) / PIECE),
        "encapsulated",
        "wide",
    ),
    Case(
        "piece-two-nets",
        "A network's binds count too, even where a longer prefix hides them.",
        frame(IP(src=CLIENT4, dst="203.0.113.77", flags="MF") / SYN / PIECE),
        "pass_fragment",
        "wide",
    ),
    Case(
        "piece-hashed-by-port",
        "Where ports are hashed, pieces would part.",
        frame(LATER4 / PIECE),
        "pass_fragment",
        "ports",
    ),
    Case("piece-alt-hashed-by-port", "So they would in the second row.", frame(LATER4 / PIECE), "pass_fragment", "alt"),
]
TRANSPORT = [
    Case(
        "tcp-19",
        "A TCP header of 19 bytes is none.",
        frame(IP(src=CLIENT4, dst=VIP4, proto=6) / Raw(bytes(SYN)[:19])),
        "drop_bad_l4",
    ),
    Case("tcp-offset-4", "A data offset of 16 bytes.", frame(IP4 / TCP(dport=80, dataofs=4)), "drop_bad_l4"),
    Case("tcp-offset-beyond", "A data offset beyond the packet.", frame(IP4 / TCP(dport=80, dataofs=6)), "drop_bad_l4"),
    Case(
        "tcp-offset-into-padding",
        "A data offset that ends in the padding.",
        bytes(frame(IP4 / TCP(dport=80, dataofs=6))) + PADDING,
        "drop_bad_l4",
    ),
    Case(
        "tcp-most-options",
        "A TCP header of 60 bytes.",
        frame(IP4 / TCP(sport=4711, dport=80, options=[("NOP", None)] * 40)),
        "encapsulated",
    ),
    Case(
        "tcp-bad-without-bind",
        "Transport headers are judged before binds.",
        frame(IP4 / TCP(dport=81, dataofs=4)),
        "drop_bad_l4",
    ),
    Case(
        "udp-7",
        "A UDP header of 7 bytes is none.",
        frame(IP(src=CLIENT4, dst=VIP4, proto=17) / Raw(bytes(7))),
        "drop_bad_l4",
    ),
    Case("udp-length-7", "A UDP length below its header's.", frame(IP4 / UDP(dport=53, len=7)), "drop_bad_l4"),
    Case("udp-length-beyond", "A UDP length beyond the packet.", frame(IP4 / UDP(dport=53, len=9)), "drop_bad_l4"),
    Case(
        "udp-length-short",
        "A UDP length below the packet's end.",
        frame(IP4 / UDP(sport=4711, dport=53, len=9) / Raw(b"1234")),
        "encapsulated",
    ),
    Case(
        "udp-length-zero-v6",
        "A UDP length of 0 is no jumbogram either.",
        frame(IP6 / UDP(dport=53, len=0)),
        "drop_bad_l4",
    ),
    Case(
        "neither",
        "Another protocol to a bound address.",
        frame(IP(src=CLIENT4, dst=VIP4, proto=47) / Raw(bytes(20))),
        "pass_no_bind",
    ),
    Case(
        "sctp",
        "SCTP has ports, but no binds.",
        frame(IP(src=CLIENT4, dst=VIP4, proto=132) / Raw(b"\x12\x67\x00\x50" + bytes(20))),
        "pass_no_bind",
    ),
    Case(
        "icmpv6-in-v4",
        "ICMPv6 in IPv4 is another protocol.",
        frame(IP(src=CLIENT4, dst=VIP4, proto=58) / Raw(b"\x80" + bytes(20))),
        "pass_no_bind",
    ),
]
ERRORS = [
    Case(
        "v4-needs-fragmenting", "An ICMP error goes where its connection is.", error4(SERVER4 / ANSWER), "encapsulated"
    ),
    Case("v4-unreachable", "Whatever the code.", error4(SERVER4 / ANSWER, 3, 1), "encapsulated"),
    Case("v4-time-exceeded", "Time exceeded concerns a connection.", error4(SERVER4 / ANSWER, 11, 0), "encapsulated"),
    Case("v4-parameter-problem", "A parameter problem, too.", error4(SERVER4 / ANSWER, 12, 0), "encapsulated"),
    Case("v4-redirect", "A redirect is other ICMP.", error4(SERVER4 / ANSWER, 5, 1), "pass_no_bind"),
    Case("v4-source-quench", "Source quench is other ICMP.", error4(SERVER4 / ANSWER, 4, 0), "pass_no_bind"),
    Case("v4-error-about-udp", "UDP is quoted as well.", error4(SERVER4 / UDP(sport=53, dport=4711)), "encapsulated"),
    Case(
        "v4-shortest-quote",
        "8 bytes behind the quoted header are enough.",
        error4(quoted_length(SERVER4 / ANSWER, 28)),
        "encapsulated",
    ),
    Case("v4-quote-too-short", "7 are not.", error4(quoted_length(SERVER4 / ANSWER, 27)), "drop_bad_icmp_quote"),
    Case(
        "v4-quote-header-cut",
        "A quoted header that is cut off.",
        error4(quoted_length(SERVER4 / ANSWER, 19)),
        "drop_bad_icmp_quote",
    ),
    Case("v4-quote-missing", "No quote at all.", error4(b""), "drop_bad_icmp_quote"),
    Case(
        "v4-quote-in-padding",
        "A quote that ends in the padding is short.",
        bytes(error4(quoted_length(SERVER4 / ANSWER, 27))) + PADDING,
        "drop_bad_icmp_quote",
    ),
    Case(
        "v4-quote-options",
        "A quoted header with options.",
        error4(IP(src=VIP4, dst=CLIENT4, options=b"\x01" * 12) / ANSWER),
        "encapsulated",
    ),
    Case(
        "v4-quote-options-cut",
        "Quoted options that are cut off.",
        error4(quoted_length(IP(src=VIP4, dst=CLIENT4, options=b"\x01" * 12) / ANSWER, 30)),
        "drop_bad_icmp_quote",
    ),
    Case(
        "v4-quote-lengths-wrong",
        "The quote's own lengths do not matter.",
        error4(IP(src=VIP4, dst=CLIENT4, len=9999) / TCP(sport=80, dport=4711, dataofs=1)),
        "encapsulated",
    ),
    Case("v4-quote-version-6", "A quote of another version.", error4(SERVER6 / ANSWER), "drop_bad_icmp_quote"),
    Case(
        "v4-quote-first-piece",
        "A quoted first piece is taken as any packet.",
        error4(IP(src=VIP4, dst=CLIENT4, flags="MF") / ANSWER),
        "encapsulated",
    ),
    Case(
        "v4-quote-later-piece",
        "A quoted later piece shows no ports.",
        error4(IP(src=VIP4, dst=CLIENT4, frag=3, proto=6) / PIECE),
        "pass_fragment",
    ),
    Case(
        "v4-quote-of-echo-reply",
        "An error about an echo reply goes where the echo went, so that the proxy learns what fits.",
        error4(SERVER4 / ICMP(type=0)),
        "encapsulated",
    ),
    Case("v6-quote-of-echo-reply", "IPv6's as well.", error6(SERVER6 / ICMPv6EchoReply()), "encapsulated"),
    Case("v4-quote-of-echo-reply-answer", "Also here.", error4(SERVER4 / ICMP(type=0)), "encapsulated", "answer"),
    Case("v4-quote-of-echo-reply-pass", "But not here.", error4(SERVER4 / ICMP(type=0)), "pass_no_bind", "pass"),
    Case(
        "v4-quote-of-echo-reply-cut",
        "One that is cut off is another protocol's.",
        error4(quoted_length(SERVER4 / ICMP(type=0), 27)),
        "pass_no_bind",
    ),
    Case(
        "v4-quote-of-echo", "A server's own echo is not one of these.", error4(SERVER4 / ICMP(type=8)), "pass_no_bind"
    ),
    Case(
        "v4-quote-of-another-protocol",
        "Quotes of another protocol have no bind.",
        error4(IP(src=VIP4, dst=CLIENT4, proto=47) / Raw(bytes(20))),
        "pass_no_bind",
    ),
    Case(
        "v4-error-to-another-host",
        "An error goes to the sender of what it quotes: to another address, it is not one about a VIP.",
        frame(IP(src=ROUTER4, dst="10.0.0.5") / ICMP(type=3, code=4) / Raw(bytes(SERVER4 / ANSWER))),
        "pass_no_bind",
    ),
    Case(
        "v6-error-to-another-host",
        "In IPv6 as well.",
        frame(IPv6(src=ROUTER6, dst="2001:db8:5::5") / ICMPv6PacketTooBig(mtu=1280) / Raw(bytes(SERVER6 / ANSWER))),
        "pass_no_bind",
    ),
    Case(
        "v4-error-about-echo-to-another-host",
        "Nor is one about an echo reply.",
        frame(IP(src=ROUTER4, dst="10.0.0.5") / ICMP(type=3, code=4) / Raw(bytes(SERVER4 / ICMP(type=0)))),
        "pass_no_bind",
    ),
    Case(
        "v4-quote-other-connection",
        "An error about another connection is the stack's.",
        error4(IP(src="10.0.0.1", dst=CLIENT4) / ANSWER),
        "pass_no_bind",
    ),
    Case(
        "v4-quote-not-reversed", "The quoted destination is the client, not the VIP.", error4(IP4 / SYN), "pass_no_bind"
    ),
    Case(
        "v4-icmp-7",
        "An ICMP header of 7 bytes is none.",
        frame(IP(src=ROUTER4, dst=VIP4, proto=1) / Raw(b"\x03\x04" + bytes(5))),
        "drop_bad_l4",
    ),
    Case("v4-icmp-empty", "Nothing behind the IP header.", frame(IP(src=ROUTER4, dst=VIP4, proto=1)), "drop_bad_l4"),
    Case("v6-too-big", "IPv6's packet too big.", error6(SERVER6 / ANSWER), "encapsulated"),
    Case("v6-unreachable", "IPv6's unreachable.", error6(SERVER6 / ANSWER, ICMPv6DestUnreach()), "encapsulated"),
    Case("v6-time-exceeded", "IPv6's time exceeded.", error6(SERVER6 / ANSWER, ICMPv6TimeExceeded()), "encapsulated"),
    Case(
        "v6-parameter-problem",
        "IPv6's parameter problem.",
        error6(SERVER6 / ANSWER, ICMPv6ParamProblem()),
        "encapsulated",
    ),
    Case(
        "v6-quote-extensions", "A quote with extension headers.", error6(SERVER6 / HOP / DEST / ANSWER), "encapsulated"
    ),
    Case(
        "v6-quote-extension-cut",
        "A quoted extension header that is cut off.",
        error6(quoted_length(SERVER6 / HOP / DEST / ANSWER, 60)),
        "drop_bad_icmp_quote",
    ),
    Case(
        "v6-quote-seven",
        "A quote with a seventh extension header.",
        error6(SERVER6 / HOP / DEST / DEST / DEST / DEST / DEST / DEST / ANSWER),
        "pass_no_bind",
    ),
    Case("v6-quote-first-piece", "A quoted first piece.", error6(SERVER6 / FIRST6 / ANSWER), "encapsulated"),
    Case(
        "v6-quote-first-piece-of-options",
        "Extension headers follow a quoted first fragment's header.",
        error6(SERVER6 / FIRST6 / DEST / ANSWER),
        "encapsulated",
    ),
    Case(
        "v6-quote-later-piece",
        "A quoted later piece.",
        error6(SERVER6 / IPv6ExtHdrFragment(m=1, offset=3, nh=6) / PIECE),
        "pass_fragment",
    ),
    Case(
        "v6-quote-too-short",
        "7 bytes of TCP are not enough.",
        error6(quoted_length(SERVER6 / ANSWER, 47)),
        "drop_bad_icmp_quote",
    ),
    Case(
        "v6-quote-version-4",
        "A quote of another version.",
        error6(SERVER4 / ANSWER / Raw(bytes(20))),
        "drop_bad_icmp_quote",
    ),
    Case(
        "v6-error-behind-extensions",
        "The error itself may have extension headers.",
        frame(IPv6(src=ROUTER6, dst=VIP6) / DEST / ICMPv6PacketTooBig(mtu=1280) / Raw(bytes(SERVER6 / ANSWER))),
        "encapsulated",
    ),
    Case(
        "v6-neighbour-solicitation",
        "Neighbour discovery is the stack's.",
        frame(IPv6(src=ROUTER6, dst=VIP6, nh=58) / Raw(b"\x87" + bytes(23))),
        "pass_no_bind",
    ),
]
PING4, PING6 = (
    IP(src=CLIENT4, dst=VIP4, id=0x1234, ttl=3) / ICMP(type=8, id=7, seq=1) / Raw(b"ping"),
    IPv6(src=CLIENT6, dst=VIP6, hlim=3) / ICMPv6EchoRequest(id=7, data=b"ping"),
)
ECHOES = [
    Case("v4-echo-forwarded", "An echo goes to a proxy of the address's table.", frame(PING4), "encapsulated"),
    Case("v6-echo-forwarded", "So does IPv6's.", frame(PING6), "encapsulated"),
    Case("v4-echo-answered", "Or the director answers it.", frame(PING4), "answered_echo", "answer"),
    Case("v6-echo-answered", "IPv6's as well.", frame(PING6), "answered_echo", "answer"),
    Case(
        "v4-echo-answered-odd",
        "One of an odd length.",
        frame(IP4 / ICMP(type=8) / Raw(b"odd")),
        "answered_echo",
        "answer",
    ),
    Case(
        "v4-echo-answered-padded",
        "The padding is not sent back.",
        bytes(frame(PING4)) + PADDING,
        "answered_echo",
        "answer",
    ),
    Case("v4-echo-answered-tagged", "The VLAN tag stays.", frame(Dot1Q(vlan=5), PING4), "answered_echo", "answer"),
    Case(
        "v4-echo-options",
        "One with options goes to a proxy, whose stack knows what becomes of each.",
        frame(IP(src=CLIENT4, dst=VIP4, options=b"\x01" * 4) / ICMP(type=8)),
        "encapsulated",
        "answer",
    ),
    Case(
        "v4-echo-source-route",
        "So no answer is sent along a route that the sender chose.",
        frame(IP(src=CLIENT4, dst=VIP4, options=b"\x83\x07\x04\xc0\x00\x02\x01\x01") / ICMP(type=8)),
        "encapsulated",
        "answer",
    ),
    Case(
        "v6-echo-extensions",
        "One with extension headers goes to a proxy.",
        frame(IP6 / DEST / ICMPv6EchoRequest(data=b"ping")),
        "encapsulated",
        "answer",
    ),
    Case(
        "v6-echo-routing-header",
        "A routing header among them.",
        frame(IP6 / IPv6ExtHdrRouting(segleft=1, addresses=["2001:db8::7"]) / ICMPv6EchoRequest(data=b"ping")),
        "encapsulated",
        "answer",
    ),
    Case(
        "v4-echo-answered-ttl-0",
        "A host that is the destination does not discard for the TTL (RFC 1122, 3.2.1.7).",
        frame(IP(src=CLIENT4, dst=VIP4, ttl=0) / ICMP(type=8)),
        "answered_echo",
        "answer",
    ),
    Case(
        "v6-echo-answered-hop-limit-0",
        "Nor for the hop limit (RFC 8200, section 3).",
        frame(IPv6(src=CLIENT6, dst=VIP6, hlim=0) / ICMPv6EchoRequest()),
        "answered_echo",
        "answer",
    ),
    Case(
        "v4-echo-class-e",
        "An echo reply is no error: the kernel answers these addresses as well.",
        frame(IP(src="240.0.0.1", dst=VIP4) / ICMP(type=8)),
        "answered_echo",
        "answer",
    ),
    Case(
        "v4-echo-multicast-mac",
        "Nothing is sent to a group's MAC.",
        any_frame(PING4, src="01:00:5e:00:00:01", dst=DIRECTOR_MAC),
        "drop_martian",
        "answer",
    ),
    Case(
        "v6-echo-broadcast-mac",
        "Nor to all on the link.",
        any_frame(PING6, src="ff:ff:ff:ff:ff:ff", dst=DIRECTOR_MAC),
        "drop_martian",
        "answer",
    ),
    Case(
        "v4-echo-own-mac",
        "Nor to the director itself.",
        any_frame(PING4, src=DIRECTOR_MAC, dst=DIRECTOR_MAC),
        "drop_martian",
        "answer",
    ),
    Case(
        "v4-echo-zero-mac",
        "Nor to the zero MAC.",
        any_frame(PING4, src="00:00:00:00:00:00", dst=DIRECTOR_MAC),
        "drop_martian",
        "answer",
    ),
    Case("v4-echo-passed", "Or it is left to the stack.", frame(PING4), "pass_no_bind", "pass"),
    Case("v6-echo-passed", "IPv6's as well.", frame(PING6), "pass_no_bind", "pass"),
    Case(
        "v4-echo-to-zero-mac",
        "An echo to an address that is not bound.",
        frame(IP(src=CLIENT4, dst="203.0.113.99") / ICMP(type=8)),
        "pass_no_bind",
        "answer",
    ),
    Case(
        "v4-echo-to-network",
        "A network's address is bound.",
        frame(IP(src=CLIENT4, dst="203.0.113.99") / ICMP(type=8)),
        "encapsulated",
        "wide",
    ),
    Case(
        "v4-echo-to-wider-network",
        "The longest prefix that holds it counts.",
        frame(IP(src=CLIENT4, dst="203.0.5.5") / ICMP(type=8)),
        "encapsulated",
        "wide",
    ),
    Case("v4-echo-reply", "An echo reply is other ICMP.", frame(IP4 / ICMP(type=0)), "pass_no_bind", "answer"),
    Case("v6-echo-reply", "So is IPv6's.", frame(IP6 / ICMPv6EchoReply()), "pass_no_bind", "answer"),
    Case("v4-timestamp", "A timestamp request is other ICMP.", frame(IP4 / ICMP(type=13)), "pass_no_bind", "answer"),
]
BINDS = [
    Case("another-port", "Another port is the stack's.", frame(IP4 / TCP(dport=81)), "pass_no_bind"),
    Case("another-protocol", "Another protocol, too.", frame(IP4 / UDP(dport=80)), "pass_no_bind"),
    Case("another-address", "Another address, too.", frame(IP(src=CLIENT4, dst="203.0.113.11") / SYN), "pass_no_bind"),
    Case(
        "v4-mapped",
        "An IPv4-mapped IPv6 address is not the IPv4 address.",
        frame(IPv6(src="::1", dst="::ffff:203.0.113.10") / SYN),
        "pass_no_bind",
    ),
    Case(
        "v4-as-v6",
        "Nor is the one that starts with its bytes.",
        frame(IPv6(src="::1", dst="cb00:710a::") / SYN),
        "pass_no_bind",
    ),
    Case(
        "port-zero",
        "Port 0 is in no range that starts at 1.",
        frame(IP(src=CLIENT4, dst="203.0.113.77") / TCP(dport=0)),
        "pass_no_bind",
        "wide",
    ),
    Case(
        "exact-before-range",
        "One address with one port beats all.",
        frame(IP(src=CLIENT4, dst=SHARED4) / SYN),
        "encapsulated",
        "wide",
    ),
    Case(
        "range",
        "A port range of an address.",
        frame(IP(src=CLIENT4, dst=SHARED4) / TCP(dport=1505)),
        "encapsulated",
        "wide",
    ),
    Case(
        "range-last",
        "Its last port is in it.",
        frame(IP(src=CLIENT4, dst=SHARED4) / TCP(dport=2000)),
        "encapsulated",
        "wide",
    ),
    Case(
        "range-after",
        "The next port is the network's.",
        frame(IP(src=CLIENT4, dst=SHARED4) / TCP(dport=2001)),
        "encapsulated",
        "wide",
    ),
    Case(
        "network",
        "A network's port.",
        frame(IP(src=CLIENT4, dst="203.0.113.77") / TCP(dport=7)),
        "encapsulated",
        "wide",
    ),
    Case(
        "narrower-range",
        "Of equal prefixes, the narrower range.",
        frame(IP(src=CLIENT4, dst="203.0.113.77") / TCP(dport=1510)),
        "encapsulated",
        "wide",
    ),
    Case(
        "last-of-equals",
        "Of equal prefixes and ranges, the last in the file.",
        frame(IP(src=CLIENT4, dst="203.0.77.7") / UDP(sport=9, dport=3007)),
        "encapsulated",
        "wide",
    ),
    Case(
        "first-of-equals",
        "The first has the ports that the last one does not contain.",
        frame(IP(src=CLIENT4, dst="203.0.77.7") / UDP(sport=9, dport=3003)),
        "encapsulated",
        "wide",
    ),
    Case(
        "wider-network",
        "A wider network where the longer prefix has no bind of the port.",
        frame(IP(src=CLIENT4, dst="203.0.5.5") / TCP(dport=80)),
        "encapsulated",
        "wide",
    ),
    Case(
        "v6-network",
        "A network of IPv6 with a range.",
        frame(IPv6(src=CLIENT6, dst="2001:db8:f::77") / UDP(sport=9, dport=1023)),
        "encapsulated",
        "wide",
    ),
    Case(
        "v6-network-range-after",
        "The port behind it.",
        frame(IPv6(src=CLIENT6, dst="2001:db8:f::77") / UDP(sport=9, dport=1024)),
        "pass_no_bind",
        "wide",
    ),
]
ROWS = [
    Case("hashed-by-port", "The source port is part of the hash.", bytes(TCP4), "encapsulated", "ports"),
    Case("alt-row", "A second row's hops are appended.", bytes(TCP4), "encapsulated", "alt"),
    Case("no-next-hop", "The next hop is not resolved.", bytes(TCP4), "drop_no_next_hop", "unknown"),
    Case("no-bind-no-next-hop", "Binds come before next hops.", frame(IP4 / TCP(dport=81)), "pass_no_bind", "unknown"),
]
OVERHEAD = 20 + 8 + 4 + 4 + 4 * 2


def sized(ip: Packet, layer: Packet, total: int) -> Packet:
    """A frame whose IP packet has `total` bytes."""
    return frame(ip / layer / Raw(bytes(total - len(ip / layer))))


PROXY4, SOURCE4 = "10.0.0.12", CONFIG["outbound_src_ip"]


def tunnel_error(kind: int = 3, code: int = 4, source: str = SOURCE4, port: int = 19523, proto: Any = UDP) -> Packet:
    """What a router on the path to a proxy says about a packet of the tunnel."""
    quote = IP(src=source, dst=PROXY4, flags="DF") / proto(sport=0x8123, dport=port) / Raw(bytes(8))
    return frame(IP(src=ROUTER4, dst=SOURCE4) / ICMP(type=kind, code=code) / Raw(bytes(quote)))


TUNNEL_ERRORS = [
    Case("tunnel-too-big", "A router on the path to a proxy needs smaller packets.", tunnel_error(), "pass_path_mtu"),
    Case("tunnel-port", "A proxy's host without its program.", tunnel_error(3, 3), "pass_tunnel_error"),
    Case("tunnel-time", "A loop on the path to a proxy.", tunnel_error(11, 0), "pass_tunnel_error"),
    Case("tunnel-time-4", "Of another type, code 4 is about no size.", tunnel_error(11, 4), "pass_tunnel_error"),
    Case("tunnel-other-port", "The host's own datagrams are no tunnel.", tunnel_error(port=53), "pass_no_bind"),
    Case("tunnel-other-source", "What another host sent is none either.", tunnel_error(source=PROXY4), "pass_no_bind"),
    Case("tunnel-tcp", "Nor is a TCP connection.", tunnel_error(proto=TCP), "pass_no_bind"),
]

PATHS = [
    Case(
        "path-fits", "The smallest path of the row counts.", sized(DF4, SYN, 1400 - OVERHEAD), "encapsulated", "paths"
    ),
    Case("path-too-big", "One byte more.", sized(DF4, SYN, 1401 - OVERHEAD), "answered_too_big", "paths"),
    Case("path-v6", "IPv6's.", sized(IP6, SYN, 1401 - OVERHEAD), "answered_too_big", "paths"),
]

SIZES = [
    Case(
        "v4-just-fits",
        "The largest packet that still fits into the tunnel.",
        sized(DF4, SYN, 1500 - OVERHEAD),
        "encapsulated",
        "mtu",
    ),
    Case(
        "v4-too-big",
        "One byte more: the client receives the MTU.",
        sized(DF4, SYN, 1501 - OVERHEAD),
        "answered_too_big",
        "mtu",
    ),
    Case(
        "v4-too-big-may-fragment",
        "Not if it may be fragmented: the error says that it may not.",
        sized(IP4, SYN, 1500),
        "drop_too_big",
        "mtu",
    ),
    Case(
        "v4-too-big-options",
        "96 bytes are quoted, options among them.",
        sized(IP(src=CLIENT4, dst=VIP4, flags="DF", options=b"\x01" * 40), SYN, 1500),
        "answered_too_big",
        "mtu",
    ),
    Case("v4-too-big-udp", "UDP senders receive it as well.", sized(DF4, QUERY, 1500), "answered_too_big", "mtu"),
    Case("v4-too-big-echo", "So is an echo.", sized(DF4, ICMP(type=8), 1500), "answered_too_big", "mtu"),
    Case(
        "v4-too-big-padded",
        "Padding does not count.",
        bytes(sized(DF4, SYN, 1500 - OVERHEAD)) + PADDING,
        "encapsulated",
        "mtu",
    ),
    Case(
        "v4-too-big-tagged",
        "Tags do not count either, and stay on the answer.",
        frame(Dot1Q(vlan=5), sized(DF4, SYN, 1501 - OVERHEAD)[IP]),
        "answered_too_big",
        "mtu",
    ),
    Case("v6-just-fits", "IPv6's largest.", sized(IP6, SYN, 1500 - OVERHEAD), "encapsulated", "mtu"),
    Case(
        "v6-too-big-for-tunnel",
        "IPv6's packet too big; 256 bytes are quoted.",
        sized(IP6, SYN, 1501 - OVERHEAD),
        "answered_too_big",
        "mtu",
    ),
    Case(
        "v6-too-big-atomic",
        "A fragment header that does not fragment makes no fragment.",
        sized(IP6 / ATOMIC, SYN, 1500),
        "answered_too_big",
        "mtu",
    ),
    Case(
        "v6-least-mtu", "No IPv6 client receives an MTU below 1280.", sized(IP6, SYN, 1280), "answered_too_big", "small"
    ),
    Case(
        "v6-piece-of-error-too-big",
        "What shows an ICMP error is not answered.",
        frame(IP6 / PIECE6_OF_ICMP / ICMPv6PacketTooBig() / Raw(bytes(1444))),
        "pass_fragment",
        "mtu",
    ),
    Case(
        "v4-error-about-echo-too-big",
        "Errors about echo replies are errors, too.",
        sized(IP(src=ROUTER4, dst=VIP4, flags="DF"), ICMP(type=3, code=4) / SERVER4 / ICMP(type=0), 1500),
        "drop_too_big",
        "mtu",
    ),
    Case(
        "v4-error-too-big",
        "Errors are not answered by errors.",
        error4(bytes(SERVER4 / ANSWER / Raw(bytes(1440)))),
        "drop_too_big",
        "mtu",
    ),
    Case("v6-error-too-big", "Nor IPv6's.", error6(bytes(SERVER6 / ANSWER / Raw(bytes(1390)))), "drop_too_big", "mtu"),
    Case(
        "v4-piece-too-big",
        "An error about a first fragment is allowed if DF is set.",
        sized(IP(src=CLIENT4, dst=VIP4, flags="MF+DF"), QUERY, 1500),
        "answered_too_big",
        "mtu",
    ),
    Case(
        "v4-piece-may-fragment",
        "As a rule it may.",
        sized(IP(src=CLIENT4, dst=VIP4, flags="MF"), QUERY, 1500),
        "drop_too_big",
        "mtu",
    ),
    Case(
        "v4-later-piece-too-big",
        "No error is sent about later fragments.",
        frame(IP(src=CLIENT4, dst=VIP4, flags="DF", frag=9, proto=17) / Raw(bytes(1480))),
        "drop_too_big",
        "mtu",
    ),
    Case(
        "v6-piece-too-big",
        "IPv6 senders must learn it: only they fragment.",
        sized(IP6 / FIRST6, QUERY, 1500),
        "answered_too_big",
        "mtu",
    ),
    Case(
        "v6-later-piece-too-big",
        "By any piece.",
        frame(IP6 / LATER6 / Raw(bytes(1452))),
        "answered_too_big",
        "mtu",
    ),
    Case(
        "v6-piece-of-echo-too-big",
        "Of an echo as well.",
        frame(IP6 / PIECE6_OF_ICMP / ICMPv6EchoRequest() / Raw(bytes(1444))),
        "answered_too_big",
        "mtu",
    ),
    Case(
        "v4-too-big-class-e",
        "No error goes to a source that is no host's (RFC 1122, 3.2.2).",
        sized(IP(src="240.0.0.1", dst=VIP4, flags="DF"), SYN, 1500),
        "drop_too_big",
        "mtu",
    ),
    Case(
        "v4-too-big-network-0",
        "Nor to network 0 (RFC 1812, 4.3.2.7).",
        sized(IP(src="0.1.2.3", dst=VIP4, flags="DF"), SYN, 1500),
        "drop_too_big",
        "mtu",
    ),
    Case(
        "v4-too-big-bad-checksum",
        "Nor about a header that is damaged.",
        sized(IP(src=CLIENT4, dst=VIP4, flags="DF", chksum=0x1234), SYN, 1500),
        "drop_too_big",
        "mtu",
    ),
    Case(
        "v4-too-big-bad-checksum-options",
        "Nor with options.",
        sized(IP(src=CLIENT4, dst=VIP4, flags="DF", chksum=0x1234, options=b"\x01" * 8), SYN, 1500),
        "drop_too_big",
        "mtu",
    ),
    Case(
        "v4-too-big-multicast-mac",
        "Nothing is sent to a group's MAC.",
        any_frame(sized(DF4, SYN, 1500)[IP], src="01:00:5e:00:00:01", dst=DIRECTOR_MAC),
        "drop_martian",
        "mtu",
    ),
    Case(
        "v6-too-big-own-mac",
        "Nor to the director itself.",
        any_frame(sized(IP6, SYN, 1500)[IPv6], src=DIRECTOR_MAC, dst=DIRECTOR_MAC),
        "drop_martian",
        "mtu",
    ),
    Case(
        "v4-too-big-ttl-0",
        "What has no TTL left goes no further, and nothing is said of its size.",
        sized(IP(src=CLIENT4, dst=VIP4, flags="DF", ttl=0), SYN, 1500),
        "drop_ttl_zero",
        "mtu",
    ),
]


def with_class(traffic_class: int) -> list[Packet]:
    ip4, ip6 = IP(src=CLIENT4, dst=VIP4, tos=traffic_class), IPv6(src=CLIENT6, dst=VIP6, tc=traffic_class)
    return [frame(ip4 / SYN), frame(ip6 / SYN)]


CLASSES = [
    Case(f"v{version}-{name}-{setup}", proves, packet, "encapsulated", setup)
    for setup in ("plain", "dscp")
    for name, traffic_class, proves in (
        ("ect1", 0x01, "ECT(1) is copied to the outer header."),
        ("ect0", 0x02, "ECT(0) is copied to the outer header."),
        ("ce", 0x03, "CE is copied to the outer header."),
        ("dscp", 0xB8, "DSCP is copied if configured."),
        ("dscp-ce", 0xBB, "DSCP is copied if configured, and ECN always."),
    )
    for version, packet in zip((4, 6), with_class(traffic_class), strict=True)
]
NO_HOSTS4 = ("0.0.0.0", "127.0.0.1", "127.255.255.255", "224.0.0.1", "239.255.255.255", "255.255.255.255", VIP4)
NO_HOSTS6 = ("::", "::1", "fe80::1", "febf::1", "ff02::1", "::ffff:198.18.3.4", VIP6)
# Special as well, but the kernel takes packets from them: its rules are followed where a connection may depend on it.
HOSTS4 = ("0.1.2.3", "169.254.1.1", "223.255.255.255", "240.0.0.1", "255.255.255.254")
HOSTS6 = ("fec0::1", "fd00::1", "64:ff9b::1", "::2", "::fffe:198.18.3.4", "1::")


def from_each(name: str, proves: str, sources: tuple[str, ...], layer: Packet, verdict: str, setup: str) -> list[Case]:
    def ip(source: str) -> Packet:
        return IPv6(src=source, dst=VIP6) if ":" in source else IP(src=source, dst=VIP4)

    return [Case(f"{name}-{source}", proves, frame(ip(source) / layer), verdict, setup) for source in sources]


MARTIANS = [
    *from_each("v4-martian", "No host has this source.", NO_HOSTS4, SYN, "drop_martian", "plain"),
    *from_each("v6-martian", "No host off the link has this source.", NO_HOSTS6, SYN, "drop_martian", "plain"),
    *from_each("v4-no-martian", "A host may have this source.", HOSTS4, SYN, "encapsulated", "plain"),
    *from_each("v6-no-martian", "A host may have this source.", HOSTS6, SYN, "encapsulated", "plain"),
    *from_each("v4-echo", "No host has the source address.", NO_HOSTS4, ICMP(type=8), "drop_martian", "answer"),
    *from_each("v6-echo", "No host has the source address.", NO_HOSTS6, ICMPv6EchoRequest(), "drop_martian", "answer"),
    *from_each("v4-piece", "Pieces, too.", NO_HOSTS4[:1], ICMP(type=8), "drop_martian", "plain"),
    *from_each("v4-martian-udp", "UDP, too.", NO_HOSTS4, QUERY, "drop_martian", "plain"),
    *from_each("v4-martian-wide", "Where networks are bound, too.", NO_HOSTS4, SYN, "drop_martian", "wide"),
    Case(
        "martian-without-bind",
        "What matches no bind is the stack's, martian or not.",
        frame(IP(src="127.0.0.1", dst=VIP4) / TCP(dport=81)),
        "pass_no_bind",
    ),
    Case(
        "dhcp",
        "Such as a DHCP request.",
        frame(IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)),
        "pass_no_bind",
        "everything",
    ),
    Case(
        "v4-error-about-martian",
        "An error about an impossible connection.",
        error4(IP(src=VIP4, dst="127.0.0.1") / ANSWER),
        "drop_martian",
    ),
    Case(
        "v4-error-from-martian",
        "Who reports an error may be any router, which the proxy's stack judges.",
        frame(IP(src="127.0.0.1", dst=VIP4) / ICMP(type=3, code=4) / Raw(bytes(SERVER4 / ANSWER))),
        "encapsulated",
    ),
]
NO_VIPS = [
    *(
        Case(
            f"v4-everything-{address}",
            "A network's bind does not hold what is no host's address.",
            frame(IP(src=CLIENT4, dst=address) / SYN),
            "pass_no_bind",
            "everything",
        )
        for address in NO_HOSTS4[:-1]
    ),
    *(
        Case(
            f"v6-everything-{address}",
            "Nor does IPv6's.",
            frame(IPv6(src=CLIENT6, dst=address) / SYN),
            "pass_no_bind",
            "everything",
        )
        for address in NO_HOSTS6[:-1]
    ),
    *(
        Case(
            f"v4-echo-everything-{address}",
            "No host answers for these.",
            frame(IP(src=CLIENT4, dst=address) / ICMP(type=8)),
            "pass_no_bind",
            "everything",
        )
        for address in NO_HOSTS4[:-1]
    ),
    Case(
        "piece-everything-multicast",
        "Nor do pieces go there.",
        frame(IP(src=CLIENT4, dst="224.0.0.1", flags="MF") / QUERY / PIECE),
        "pass_fragment",
        "everything",
    ),
    Case(
        "everything",
        "All else it holds.",
        frame(IP(src=CLIENT4, dst="198.51.100.7") / SYN),
        "encapsulated",
        "everything",
    ),
]
HOPS_LEFT = [
    Case(
        "v4-ttl-0",
        "What has no TTL left is not encapsulated (RFC 2003, 3.1).",
        with_ip(TCP4, 8, b"\0"),
        "drop_ttl_zero",
    ),
    Case("v6-hop-limit-0", "Nor IPv6's.", with_ip(TCP6, 7, b"\0"), "drop_ttl_zero"),
    Case("v4-ttl-1", "1 is enough: director and proxy are the VIP's host.", with_ip(TCP4, 8, b"\1"), "encapsulated"),
    Case("v6-hop-limit-1", "In IPv6 as well.", with_ip(TCP6, 7, b"\1"), "encapsulated"),
    Case("v4-udp-ttl-0", "UDP, too.", with_ip(UDP4, 8, b"\0"), "drop_ttl_zero"),
    Case("v4-error-ttl-0", "Errors, too.", with_ip(error4(SERVER4 / ANSWER), 8, b"\0"), "drop_ttl_zero"),
    Case("v4-piece-ttl-0", "Pieces, too.", with_ip(frame(LATER4 / PIECE), 8, b"\0"), "drop_ttl_zero"),
    Case("v4-echo-ttl-0", "Echoes, too.", frame(IP(src=CLIENT4, dst=VIP4, ttl=0) / ICMP(type=8)), "drop_ttl_zero"),
    Case(
        "ttl-0-without-bind",
        "What matches no bind may be for this host, which takes it (RFC 1122, 3.2.1.7).",
        frame(IP(src=CLIENT4, dst=VIP4, ttl=0) / TCP(dport=81)),
        "pass_no_bind",
    ),
]
CASES = [
    Case(case.name, case.proves, bytes(case.frame), case.verdict, case.setup)
    for group in (
        ETHERNET,
        IPV4,
        IPV6,
        FRAGMENTS,
        TRANSPORT,
        ERRORS,
        ECHOES,
        BINDS,
        ROWS,
        SIZES,
        PATHS,
        TUNNEL_ERRORS,
        CLASSES,
        MARTIANS,
        NO_VIPS,
        HOPS_LEFT,
    )
    for case in group
]
