# SPDX-License-Identifier: MIT
"""Named packets for the proxy: each rule of docs/datapath.md, in its order.

What sockets take is not here but in test_proxy.py, which has some.
"""

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_RA,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    PadN,
)
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q
from scapy.packet import Packet, Raw

from .build import gue
from .cases import Case, cut
from .cases import frame as any_frame
from .checksum import updated
from .proxy import Proxy

DIRECTOR, FIRST, SECOND, THIRD = "10.0.0.1", "10.0.0.11", "10.0.0.12", "10.0.0.13"
PROXY_MAC, ROUTER_MAC = "02:00:00:00:00:0b", "02:00:00:00:00:fe"
CLIENT4, VIP4 = "198.18.3.4", "203.0.113.10"
CLIENT6, VIP6 = "2001:db8:c::4", "2001:db8:f::10"
IP4, IP6 = IP(src=CLIENT4, dst=VIP4), IPv6(src=CLIENT6, dst=VIP6)
SYN, ACK = TCP(sport=4711, dport=80, flags="S"), TCP(sport=4711, dport=80, flags="A")
SYN_PUSH = TCP(sport=4711, dport=80, flags="SPUEC")
SOURCES = ["10.0.0.0/28", "192.0.2.7"]
HOPS = (SECOND, THIRD)


def packed(address: str) -> bytes:
    return bytes(int(part) for part in address.split("."))


def frame(*layers: Packet | bytes) -> Packet:
    return any_frame(*layers, src=ROUTER_MAC, dst=PROXY_MAC)


def tunnelled(
    inner: Packet | bytes,
    hops: tuple[str, ...] = HOPS,
    next_hop: int = 0,
    version: int | None = None,
    src: str = DIRECTOR,
    dst: str = FIRST,
    tos: int = 0,
    checksum: int | None = 0,
) -> Packet:
    """A frame of the tunnel. `checksum` None is a right one."""
    data = bytes(inner)
    payload = gue(version or (data[0] >> 4 if data else 4), tuple(packed(hop) for hop in hops), next_hop, data)
    return frame(
        IP(src=src, dst=dst, id=0, flags="DF", tos=tos) / UDP(sport=0x8123, dport=19523, chksum=checksum) / Raw(payload)
    )


def changed(packet: Packet, at: int, value: bytes) -> bytes:
    """The frame with bytes changed, counted from the start of the frame."""
    data = bytearray(bytes(packet))
    data[at : at + len(value)] = value
    return bytes(data)


IP_LENGTH, UDP_LENGTH, GUE, FLAGS, PRIVATE, INNER_CHECKSUM = 16, 38, 42, 44, 46, 68
WHOLE = tunnelled(IP4 / SYN)


def sent_on(hops: tuple[str, ...], next_hop: int = 0) -> Packet:
    return tunnelled(IP4 / ACK, hops, next_hop)


def to_mac(mac: str, dst: str = FIRST) -> Packet:
    packet = tunnelled(IP4 / SYN, dst=dst)
    packet.dst = mac
    return packet


QUERY = UDP(sport=4711, dport=53)
THREE_TAGS = Dot1AD(vlan=1), Dot1Q(vlan=2), Dot1Q(vlan=3)
# The checksum that comes to 0 when FIRST sends a packet of DIRECTOR's on to SECOND.
BEFORE, AFTER = packed(DIRECTOR) + packed(FIRST) + b"\0\x02", packed(FIRST) + packed(SECOND) + b"\1\x02"
TO_ZERO = ~updated(0xFFFF, BEFORE, AFTER) & 0xFFFF
PIECE = Raw(bytes(64))

NO_TUNNEL = [
    Case("arp", "What is not IP is the stack's.", frame(ARP()), "pass_not_tunnel"),
    Case("v6", "The tunnel is IPv4.", frame(IP6 / UDP(dport=19523) / PIECE), "pass_not_tunnel"),
    Case(
        "other-port", "Another port is the stack's.", frame(IP(dst=FIRST) / UDP(dport=19524) / PIECE), "pass_not_tunnel"
    ),
    Case("tcp-port", "So is TCP to that port.", frame(IP(dst=FIRST) / TCP(dport=19523)), "pass_not_tunnel"),
    Case(
        "tunnel-options",
        "A tunnel's header has no options.",
        frame(IP(dst=FIRST, options=b"\x01" * 4) / UDP(dport=19523) / PIECE),
        "pass_not_tunnel",
    ),
    Case(
        "tunnel-first-piece",
        "A tunnel is not fragmented.",
        frame(IP(dst=FIRST, flags="MF") / UDP(dport=19523) / PIECE),
        "pass_not_tunnel",
    ),
    Case(
        "tunnel-later-piece",
        "Not its later pieces either.",
        frame(IP(dst=FIRST, frag=5) / UDP(dport=19523) / PIECE),
        "pass_not_tunnel",
    ),
    Case(
        "tunnel-version-6", "A header that says version 6 is not IPv4.", changed(WHOLE, 14, b"\x65"), "pass_not_tunnel"
    ),
    Case("cut-in-outer-ip", "A frame that ends in the outer header.", cut(WHOLE, 33), "pass_not_tunnel"),
    Case("only-ethernet", "A frame of an Ethernet header alone.", cut(WHOLE, 14), "pass_not_tunnel"),
    Case(
        "tag-cut-off", "A frame that ends inside its tag.", cut(frame(Dot1Q(vlan=5), WHOLE[IP]), 17), "pass_not_tunnel"
    ),
    Case("three-tags", "A third VLAN tag is not stepped over.", frame(*THREE_TAGS, WHOLE[IP]), "pass_not_tunnel"),
]
BAD_TUNNEL = [
    Case("frame-short", "The frame is shorter than its IP packet.", cut(WHOLE, len(WHOLE) - 1), "drop_bad_tunnel"),
    Case(
        "ip-short",
        "The IP packet is shorter than its UDP datagram.",
        changed(WHOLE, IP_LENGTH, b"\x00\x30"),
        "drop_bad_tunnel",
    ),
    Case(
        "udp-long",
        "The UDP datagram is longer than its IP packet.",
        changed(WHOLE, UDP_LENGTH, b"\x00\xff"),
        "drop_bad_tunnel",
    ),
    Case(
        "udp-short",
        "The UDP datagram is shorter than its IP packet.",
        changed(WHOLE, UDP_LENGTH, b"\x00\x20"),
        "drop_bad_tunnel",
    ),
    Case(
        "udp-empty",
        "A UDP datagram with nothing in it.",
        frame(IP(src=DIRECTOR, dst=FIRST) / UDP(dport=19523)),
        "drop_bad_tunnel",
    ),
    Case(
        "gue-cut",
        "One that ends in GUE's private data.",
        frame(IP(src=DIRECTOR, dst=FIRST) / UDP(dport=19523) / Raw(b"\x01\x04" + bytes(5))),
        "drop_bad_tunnel",
    ),
    Case("gue-version", "GUE version 1.", changed(WHOLE, GUE, b"\x43"), "drop_bad_tunnel"),
    Case("gue-control", "A control message.", changed(WHOLE, GUE, b"\x23"), "drop_bad_tunnel"),
    Case("gue-protocol", "Neither IPv4 nor IPv6 inside.", changed(WHOLE, GUE + 1, b"\x2f"), "drop_bad_tunnel"),
    Case("gue-flags", "Flags.", changed(WHOLE, FLAGS, b"\x00\x01"), "drop_bad_tunnel"),
    Case("gue-private-type", "Private data of another type.", changed(WHOLE, PRIVATE, b"\x00\x01"), "drop_bad_tunnel"),
    Case("hlen-short", "A header too short for its hops.", changed(WHOLE, GUE, b"\x02"), "drop_bad_hops"),
    Case("hlen-long", "A header too long for its hops.", changed(WHOLE, GUE, b"\x04"), "drop_bad_hops"),
    Case("hops-17", "17 hops.", tunnelled(IP4 / SYN, (SECOND,) * 17), "drop_bad_hops"),
    Case("hops-16", "16 hops are allowed.", tunnelled(IP4 / SYN, (SECOND,) * 16), "taken_syn"),
    Case(
        "hops-beyond",
        "Hops that the packet does not hold.",
        changed(tunnelled(b""), GUE, b"\x04\x04\0\0\0\0\0\x03"),
        "drop_bad_hops",
    ),
    Case(
        "hops-in-padding",
        "Hops that reach into the frame's padding.",
        changed(tunnelled(b""), GUE, b"\x04\x04\0\0\0\0\0\x03") + bytes(40),
        "drop_bad_hops",
    ),
    Case(
        "foreign-source",
        "A tunnel from a source that is not configured.",
        tunnelled(IP4 / SYN, src="10.0.0.16"),
        "drop_foreign_source",
        "sources",
    ),
    Case(
        "configured-network",
        "One from a configured network.",
        tunnelled(IP4 / SYN, src="10.0.0.15"),
        "taken_syn",
        "sources",
    ),
    Case(
        "configured-address",
        "One from a configured address.",
        tunnelled(IP4 / SYN, src="192.0.2.7"),
        "taken_syn",
        "sources",
    ),
    Case(
        "foreign-and-bad",
        "Faults of the tunnel come before its source.",
        changed(tunnelled(IP4 / SYN, src="10.0.0.16"), GUE, b"\x02"),
        "drop_bad_hops",
        "sources",
    ),
    Case(
        "foreign-and-inner",
        "The source comes before faults inside.",
        tunnelled(bytes(IP4)[:19], src="10.0.0.16", version=4),
        "drop_foreign_source",
        "sources",
    ),
]
BAD_INNER = [
    Case("inner-empty", "Nothing inside.", tunnelled(b""), "drop_bad_inner"),
    Case("inner-cut", "A packet that is longer than the tunnel's.", tunnelled(bytes(IP4 / SYN)[:39]), "drop_bad_inner"),
    Case(
        "inner-cut-padded",
        "Padding of the frame does not make it whole.",
        bytes(tunnelled(bytes(IP4 / SYN)[:39])) + b"\xee",
        "drop_bad_inner",
    ),
    Case("inner-other-version", "IPv6 promised, IPv4 inside.", tunnelled(IP4 / SYN, version=6), "drop_bad_inner"),
    Case("inner-other-version-6", "IPv4 promised, IPv6 inside.", tunnelled(IP6 / SYN, version=4), "drop_bad_inner"),
    Case(
        "inner-length-zero", "A total length of 0.", tunnelled(IP(src=CLIENT4, dst=VIP4, len=0) / SYN), "drop_bad_inner"
    ),
    Case(
        "inner-tcp-cut",
        "A TCP header that is cut off.",
        tunnelled(IP(src=CLIENT4, dst=VIP4, proto=6) / Raw(bytes(ACK)[:19])),
        "drop_bad_inner",
    ),
    Case(
        "inner-tcp-offset",
        "A data offset beyond the packet.",
        tunnelled(IP4 / TCP(dport=80, flags="S", dataofs=15)),
        "drop_bad_inner",
    ),
    Case(
        "inner-udp-length", "A UDP length beyond the packet.", tunnelled(IP4 / UDP(dport=53, len=99)), "drop_bad_inner"
    ),
    Case(
        "inner-icmp-cut",
        "An ICMP header of 4 bytes.",
        tunnelled(IP(src=CLIENT4, dst=VIP4, proto=1) / Raw(b"\x08\0\0\0")),
        "drop_bad_inner",
    ),
    Case(
        "inner-quote-cut",
        "An ICMP error whose quote is too short.",
        tunnelled(IP4 / ICMP(type=3, code=4) / Raw(bytes(IP(src=VIP4, dst=CLIENT4) / TCP())[:27])),
        "drop_bad_inner",
    ),
    Case(
        "inner-extension-cut",
        "An extension header beyond the packet.",
        tunnelled(IPv6(src=CLIENT6, dst=VIP6, nh=60) / Raw(b"\x06\xff" + bytes(30))),
        "drop_bad_inner",
    ),
]


def with_ecn(outer: int, inner: int, version: int, segment: Packet = SYN) -> Packet:
    ip = IP(src=CLIENT4, dst=VIP4, tos=0x28 | inner) if version == 4 else IPv6(src=CLIENT6, dst=VIP6, tc=0x28 | inner)
    return tunnelled(ip / segment, tos=outer)


CONGESTION = [
    Case(
        f"v{version}-ecn-{outer:02b}-over-{inner:02b}",
        f"ECN {outer:02b} on the tunnel, {inner:02b} inside: RFC 6040.",
        with_ecn(outer, inner, version),
        "drop_congestion" if (outer, inner) == (3, 0) else "taken_syn",
    )
    for version in (4, 6)
    for outer in range(4)
    for inner in range(4)
] + [
    Case(
        "ecn-unchanged-checksum-of-ones",
        "A header that does not change keeps its checksum also where that has two forms.",
        changed(with_ecn(1, 0, 4), INNER_CHECKSUM, b"\xff\xff"),
        "taken_syn",
    ),
    Case("ce-sent-on", "A forwarded packet keeps its marks.", with_ecn(3, 2, 4, ACK), "forwarded"),
    Case(
        "ce-sent-on-not-ect", "The tunnel continues: its end combines the marks.", with_ecn(3, 0, 4, ACK), "forwarded"
    ),
    Case("outer-dscp", "The tunnel's DSCP stays outside.", tunnelled(IP4 / SYN, tos=0xB8), "taken_syn"),
]
QUOTED4, QUOTED6 = (
    IP(src=VIP4, dst=CLIENT4) / TCP(sport=80, dport=4711),
    IPv6(src=VIP6, dst=CLIENT6) / TCP(sport=80, dport=4711),
)
TAKERS = [
    Case("syn", "A SYN is taken.", WHOLE, "taken_syn"),
    Case("syn-v6", "IPv6's as well.", tunnelled(IP6 / SYN), "taken_syn"),
    *(
        Case(
            f"syn-and-{flags}",
            "Only a SYN alone begins a connection.",
            tunnelled(IP4 / TCP(sport=4711, dport=80, flags=f"S{flags}")),
            "forwarded",
        )
        for flags in ("A", "F", "R", "RA")
    ),
    Case(
        "syn-push", "Flags that say nothing of beginning or end do not count.", tunnelled(IP4 / SYN_PUSH), "taken_syn"
    ),
    Case("syn-first-address", "A tunnel to this host.", WHOLE, "taken_syn", "addresses"),
    Case(
        "syn-second-address",
        "A host may have further addresses.",
        tunnelled(IP4 / SYN, dst="10.0.0.111"),
        "taken_syn",
        "addresses",
    ),
    Case("syn-tagged", "VLAN tags are stepped over, and stay.", frame(*THREE_TAGS[:2], WHOLE[IP]), "taken_syn"),
    Case("syn-padded", "With padding behind it.", bytes(WHOLE) + b"\xee" * 6, "taken_syn"),
    Case(
        "syn-udp-checksum",
        "With a UDP checksum, which is not verified.",
        tunnelled(IP4 / SYN, checksum=0x1234),
        "taken_syn",
    ),
    Case("syn-ttl-1", "TTL stays as it is.", tunnelled(IP(src=CLIENT4, dst=VIP4, ttl=1) / SYN), "taken_syn"),
    Case(
        "syn-options", "Behind options.", tunnelled(IP(src=CLIENT4, dst=VIP4, options=b"\x01" * 8) / SYN), "taken_syn"
    ),
    Case(
        "syn-behind-extension",
        "Behind an extension header.",
        tunnelled(IP6 / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]) / SYN),
        "taken_syn",
    ),
    Case("udp", "UDP knows no connection.", tunnelled(IP4 / QUERY), "taken_connectionless"),
    Case("udp-v6", "IPv6's neither.", tunnelled(IP6 / QUERY), "taken_connectionless"),
    Case("ping", "An echo neither.", tunnelled(IP4 / ICMP(type=8) / Raw(b"ping")), "taken_connectionless"),
    Case("ping-v6", "IPv6's neither.", tunnelled(IP6 / ICMPv6EchoRequest(data=b"ping")), "taken_connectionless"),
    Case(
        "seventh-extension",
        "What lies behind seven extension headers is not looked at.",
        tunnelled(
            IP6
            / IPv6ExtHdrDestOpt()
            / IPv6ExtHdrDestOpt()
            / IPv6ExtHdrDestOpt()
            / IPv6ExtHdrDestOpt()
            / IPv6ExtHdrDestOpt()
            / IPv6ExtHdrDestOpt()
            / IPv6ExtHdrDestOpt()
            / ACK
        ),
        "drop_not_served",
    ),
    Case(
        "piece",
        "Fragments neither, not even TCP's.",
        tunnelled(IP(src=CLIENT4, dst=VIP4, flags="MF") / ACK / PIECE),
        "taken_connectionless",
    ),
    Case("piece-v6", "IPv6's neither.", tunnelled(IP6 / IPv6ExtHdrFragment(m=1) / ACK / PIECE), "taken_connectionless"),
    Case(
        "error-about-udp",
        "Errors about UDP neither.",
        tunnelled(IP4 / ICMP(type=3, code=4) / Raw(bytes(IP(src=VIP4, dst=CLIENT4) / QUERY))),
        "taken_connectionless",
    ),
    Case(
        "error-about-piece",
        "Nor those about a later fragment.",
        tunnelled(IP4 / ICMP(type=3, code=4) / Raw(bytes(IP(src=VIP4, dst=CLIENT4, frag=4, proto=6) / PIECE))),
        "taken_connectionless",
    ),
    Case("ack", "An unknown segment is sent to the next hop.", tunnelled(IP4 / ACK), "forwarded"),
    Case("ack-v6", "IPv6's as well.", tunnelled(IP6 / ACK), "forwarded"),
    Case("ack-tagged", "Forwarded, the VLAN tag stays.", frame(Dot1Q(vlan=5), tunnelled(IP4 / ACK)[IP]), "forwarded"),
    Case("ack-next-hop", "Forwarded to the MAC of the hop's next hop.", tunnelled(IP4 / ACK), "forwarded", "next hops"),
    Case(
        "ack-unresolved",
        "Unresolved: back to the frame's sender.",
        tunnelled(IP4 / ACK, next_hop=1),
        "forwarded",
        "next hops",
    ),
    Case("ack-second", "The second hop sends on to the third.", tunnelled(IP4 / ACK, next_hop=1), "forwarded"),
    Case("ack-checksum", "A UDP checksum stays right.", tunnelled(IP4 / ACK, checksum=None), "forwarded"),
    Case(
        "ack-checksum-zero",
        "A UDP checksum that comes to 0 is written as its other form.",
        tunnelled(IP4 / ACK, checksum=TO_ZERO),
        "forwarded",
    ),
    Case("ack-padded", "Forwarded with its padding.", bytes(tunnelled(IP4 / ACK)) + b"\xee" * 6, "forwarded"),
    Case("rst", "A reset as well.", tunnelled(IP4 / TCP(sport=4711, dport=80, flags="R")), "forwarded"),
    Case(
        "error",
        "An error about an unknown connection as well.",
        tunnelled(IP4 / ICMP(type=3, code=4) / Raw(bytes(QUOTED4))),
        "forwarded",
    ),
    Case(
        "error-time-exceeded",
        "Time exceeded is such an error.",
        tunnelled(IP4 / ICMP(type=11) / Raw(bytes(QUOTED4))),
        "forwarded",
    ),
    Case(
        "error-v6",
        "IPv6's packet too big.",
        tunnelled(IP6 / ICMPv6PacketTooBig(mtu=1280) / Raw(bytes(QUOTED6))),
        "forwarded",
    ),
    Case(
        "unreachable-v6", "IPv6's unreachable.", tunnelled(IP6 / ICMPv6DestUnreach() / Raw(bytes(QUOTED6))), "forwarded"
    ),
    Case("last", "The last hop takes unknown packets.", tunnelled(IP4 / ACK, next_hop=2), "taken_last_resort"),
    Case("no-hops", "So does the only one.", tunnelled(IP4 / ACK, hops=()), "taken_last_resort"),
    Case(
        "next-hop-beyond",
        "A position behind the list is its end.",
        tunnelled(IP4 / ACK, next_hop=255),
        "taken_last_resort",
    ),
    Case("self", "A packet is not sent to its sender.", tunnelled(IP4 / ACK, hops=(FIRST, SECOND)), "taken_self"),
    Case(
        "self-other-address",
        "Nor to another address of this host.",
        tunnelled(IP4 / ACK, hops=("10.0.0.111", SECOND)),
        "taken_self",
        "addresses",
    ),
]
HOP_CASES = [
    Case(
        "hop-twice", "A hop that the list has before is passed over.", sent_on((SECOND, SECOND, THIRD), 1), "forwarded"
    ),
    Case(
        "hop-of-sender", "So is the one that sent the packet here.", sent_on((SECOND, DIRECTOR, THIRD), 1), "forwarded"
    ),
    Case(
        "hops-all-tried", "Where all were tried, the packet is taken.", sent_on((SECOND,) * 16, 1), "taken_last_resort"
    ),
    Case(
        "hops-two-in-turn",
        "Two hosts cannot be made to exchange a packet.",
        sent_on((SECOND, DIRECTOR) * 8, 2),
        "taken_last_resort",
    ),
    Case(
        "hop-self-again",
        "A proxy that is listed earlier forwards the packet.",
        sent_on((FIRST, FIRST, THIRD), 1),
        "forwarded",
    ),
    Case(
        "hop-checksum",
        "A UDP checksum stays right where a hop is passed over.",
        tunnelled(IP4 / ACK, (SECOND, SECOND, THIRD), 1, checksum=None),
        "forwarded",
    ),
    Case("hop-peer", "A hop among those that are allowed.", sent_on((SECOND,)), "forwarded", "hops"),
    Case("hop-anywhere", "Any other address is none.", sent_on(("192.0.2.9",)), "drop_foreign_hop", "hops"),
    Case("hop-source", "The sources are the hops that are allowed.", sent_on((SECOND,)), "forwarded", "sources"),
    Case("hop-no-source", "Others are not.", sent_on(("10.0.0.16",)), "drop_foreign_hop", "sources"),
    *(
        Case(f"hop-{hop}", "No host has such an address.", sent_on((hop,)), "drop_foreign_hop")
        for hop in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255")
    ),
]
OTHER_MACS = [
    Case("mac-of-bond", "A member of a bond has two MACs.", to_mac("02:00:00:00:00:0c"), "taken_syn", "macs"),
    Case("mac-other", "A frame for another host is not taken.", to_mac("02:00:00:00:00:0d"), "pass_other_host", "macs"),
    Case("mac-broadcast", "Nor one for all.", to_mac("ff:ff:ff:ff:ff:ff"), "pass_other_host"),
    Case("mac-multicast", "Nor one for some.", to_mac("01:00:5e:00:00:01"), "pass_other_host"),
    Case(
        "mac-other-elsewhere",
        "What is for another host in all respects is no tunnel of this one.",
        to_mac("02:00:00:00:00:0d", dst="10.0.0.99"),
        "pass_not_tunnel",
        "addresses",
    ),
]


def inside(src: str, dst: str, payload: Packet = SYN) -> Packet:
    ip = IPv6(src=src, dst=dst, hlim=255) if ":" in dst else IP(src=src, dst=dst)
    return tunnelled(ip / payload)


def error_about(quoted_src: str, to: str) -> Packet:
    quote = IP(src=quoted_src, dst=CLIENT4) / TCP(sport=22, dport=4711)
    return tunnelled(IP(src=CLIENT4, dst=to) / ICMP(type=3, code=4) / Raw(bytes(quote)))


OWN4, OWN6, IN_PREFIX = "10.0.0.11", "2001:db8:f::1", "198.51.100.7"
NOT_ADMITTED = [
    *(
        Case(f"to-{dst}", "The tunnel leads to VIPs alone.", inside(src, dst), "drop_not_vip", "vips")
        for src, dst in (
            (CLIENT4, OWN4),
            (CLIENT4, "127.0.0.1"),
            (CLIENT4, "203.0.113.11"),
            (CLIENT4, "255.255.255.255"),
            (CLIENT4, "224.0.0.1"),
            (CLIENT4, "198.51.100.200"),
            (CLIENT6, OWN6),
            (CLIENT6, "::1"),
            (CLIENT6, "ff02::1"),
        )
    ),
    Case(
        "to-tunnel-end",
        "Where the tunnel ends is never a VIP.",
        tunnelled(IP4 / SYN, dst=VIP4),
        "drop_not_vip",
        "vips",
    ),
    Case("to-prefix", "A VIP may be a whole network.", inside(CLIENT4, IN_PREFIX), "taken_syn", "vips"),
    Case("to-vip", "One of many single addresses.", inside(CLIENT4, "203.0.113.24"), "taken_syn", "vips"),
    Case("to-vip-v6", "IPv6's as well.", inside(CLIENT6, VIP6), "taken_syn", "vips"),
    Case("piece-to-own", "Nor do fragments pass.", inside(CLIENT4, OWN4, PIECE), "drop_not_served", "vips"),
    Case("udp-to-own", "Nor UDP.", inside(CLIENT4, OWN4, UDP(sport=4711, dport=53)), "drop_not_vip", "vips"),
    Case(
        "ping-to-own",
        "An echo to the tunnel's own address is a health check.",
        inside(CLIENT4, FIRST, ICMP(type=8)),
        "taken_connectionless",
        "vips",
    ),
    Case("ping-to-other", "To another, it is not.", inside(CLIENT4, "10.0.0.12", ICMP(type=8)), "drop_not_vip", "vips"),
    Case(
        "error-to-own",
        "An error that is sent to another address than the one that it quotes.",
        error_about(VIP4, OWN4),
        "drop_not_served",
        "vips",
    ),
    Case("error-about-own", "Or in the opposite direction.", error_about(OWN4, VIP4), "drop_not_served", "vips"),
    Case("error-about-own-to-own", "Or from a host's own.", error_about(OWN4, OWN4), "drop_not_vip", "vips"),
    Case("error-about-vip", "One about a VIP passes.", error_about(VIP4, VIP4), "forwarded", "vips"),
    *(
        Case(f"from-{src}", "No client has such an address.", inside(src, dst), "drop_martian", "vips")
        for src, dst in (
            ("0.0.0.0", VIP4),
            ("0.1.2.3", VIP4),
            ("127.0.0.1", VIP4),
            ("224.0.0.1", VIP4),
            ("239.255.255.255", VIP4),
            ("255.255.255.255", VIP4),
            (VIP4, VIP4),
            (OWN4, VIP4),
            (IN_PREFIX, VIP4),
            ("::", VIP6),
            ("::1", VIP6),
            ("::ffff:10.0.0.1", VIP6),
            ("ff02::1", VIP6),
            ("fe80::1", VIP6),
            (VIP6, VIP6),
            (OWN6, VIP6),
        )
    ),
    *(
        Case(f"from-{src}-too", "Such a client may exist.", inside(src, dst), "taken_syn", "vips")
        for src, dst in (("240.0.0.1", VIP4), ("10.0.0.12", VIP4), ("::2", VIP6), ("fec0::1", VIP6))
    ),
    *(
        Case(name, "No director sends such packets.", inside(src, dst, payload), "drop_not_served")
        for name, src, dst, payload in (
            ("ipip", CLIENT4, VIP4, IP(src=CLIENT4, dst=OWN4) / SYN),
            ("gre", CLIENT4, VIP4, GRE() / IP(src=CLIENT4, dst=OWN4) / SYN),
            ("redirect", CLIENT4, VIP4, ICMP(type=5, gw="10.0.0.66") / Raw(bytes(IP(dst=CLIENT4) / SYN))),
            ("timestamp", CLIENT4, VIP4, ICMP(type=13)),
            ("router-advertisement", "fe80::1", VIP6, ICMPv6ND_RA()),
            ("neighbour-advertisement", CLIENT6, VIP6, ICMPv6ND_NA(tgt=VIP6)),
        )
    ),
    Case(
        "piece-of-ipip",
        "Nor pieces of them.",
        tunnelled(IP(src=CLIENT4, dst=VIP4, proto=4, flags="MF") / PIECE),
        "drop_not_served",
    ),
    Case(
        "piece-of-ping",
        "Pieces of an echo are such as may be sent.",
        tunnelled(IP(src=CLIENT4, dst=VIP4, proto=1, flags="MF") / PIECE),
        "taken_connectionless",
    ),
]


CASES = [
    Case(case.name, case.proves, bytes(case.frame), case.verdict, case.setup)
    for group in (NO_TUNNEL, OTHER_MACS, BAD_TUNNEL, BAD_INNER, NOT_ADMITTED, CONGESTION, TAKERS, HOP_CASES)
    for case in group
]
SETUPS = {
    "plain": Proxy(),
    "sources": Proxy({"sources": SOURCES}),
    "addresses": Proxy(addresses=(packed(FIRST), packed("10.0.0.111"))),
    "macs": Proxy(macs=(b"\x02\0\0\0\0\x0b", b"\x02\0\0\0\0\x0c")),
    "hops": Proxy(hops=("10.0.0.8/29",)),
    "vips": Proxy(
        vips=(
            "198.51.100.0/25",
            "2001:db8:e::/64",
            *(f"203.0.113.{last}/32" for last in range(10, 30) if last != 11),
            *(f"2001:db8:f::{last:x}/128" for last in range(16, 24)),
        ),
        own=("10.0.0.11/32", "198.51.100.3/32", "2001:db8:f::1/128"),
    ),
    "next hops": Proxy(next_hops={packed(SECOND): b"\x02\0\0\0\0\x0c"}),
}
