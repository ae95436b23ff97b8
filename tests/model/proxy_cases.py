"""Named packets for the proxy: each rule of docs/datapath.md, in its order.

What sockets take is not here but in test_proxy.py, which has some.
"""

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    PadN,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q
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
        "A tunnel from somebody who is not configured.",
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
        tunnelled(IP4 / ICMP(type=3, code=4) / Raw(bytes(IP() / TCP())[:27])),
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
    Case("ce-sent-on", "Sent on, a packet keeps its marks where they are.", with_ecn(3, 2, 4, ACK), "forwarded"),
    Case("ce-sent-on-not-ect", "The tunnel goes on: its end will tell.", with_ecn(3, 0, 4, ACK), "forwarded"),
    Case("outer-dscp", "The tunnel's DSCP stays outside.", tunnelled(IP4 / SYN, tos=0xB8), "taken_syn"),
]
QUOTED4, QUOTED6 = (
    IP(src=VIP4, dst=CLIENT4) / TCP(sport=80, dport=4711),
    IPv6(src=VIP6, dst=CLIENT6) / TCP(sport=80, dport=4711),
)
TAKERS = [
    Case("syn", "A SYN is taken.", WHOLE, "taken_syn"),
    Case("syn-v6", "IPv6's as well.", tunnelled(IP6 / SYN), "taken_syn"),
    Case("syn-ack", "Whatever else it says.", tunnelled(IP4 / TCP(sport=4711, dport=80, flags="SA")), "taken_syn"),
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
        "With a UDP checksum, which nobody looks at.",
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
        "other-protocol",
        "Another protocol neither.",
        tunnelled(IP(src=CLIENT4, dst=VIP4, proto=47) / Raw(bytes(4))),
        "taken_connectionless",
    ),
    Case(
        "seventh-extension",
        "Nor what lies behind seven extension headers.",
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
        "taken_connectionless",
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
    Case("ack", "A segment that nobody knows goes to the next hop.", tunnelled(IP4 / ACK), "forwarded"),
    Case("ack-v6", "IPv6's as well.", tunnelled(IP6 / ACK), "forwarded"),
    Case("ack-tagged", "Sent on, the VLAN tag stays.", frame(Dot1Q(vlan=5), tunnelled(IP4 / ACK)[IP]), "forwarded"),
    Case("ack-known-way", "Sent on to the MAC on the way to the hop.", tunnelled(IP4 / ACK), "forwarded", "next hops"),
    Case(
        "ack-unknown-way",
        "Where it is not known, to whom it came from.",
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
    Case("ack-padded", "Sent on with its padding.", bytes(tunnelled(IP4 / ACK)) + b"\xee" * 6, "forwarded"),
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
    Case("last", "The last hop takes what nobody knows.", tunnelled(IP4 / ACK, next_hop=2), "taken_last_resort"),
    Case("no-hops", "So does the only one.", tunnelled(IP4 / ACK, hops=()), "taken_last_resort"),
    Case(
        "next-hop-beyond",
        "A position behind the list is its end.",
        tunnelled(IP4 / ACK, next_hop=255),
        "taken_last_resort",
    ),
    Case("self", "A packet is not sent to its sender.", tunnelled(IP4 / ACK, hops=(FIRST, SECOND)), "taken_self"),
]


CASES = [
    Case(case.name, case.proves, bytes(case.frame), case.verdict, case.setup)
    for group in (NO_TUNNEL, BAD_TUNNEL, BAD_INNER, CONGESTION, TAKERS)
    for case in group
]
SETUPS = {
    "plain": Proxy(),
    "sources": Proxy({"sources": SOURCES}),
    "addresses": Proxy(addresses=(packed(FIRST), packed("10.0.0.111"))),
    "next hops": Proxy(next_hops={packed(SECOND): b"\x02\0\0\0\0\x0c"}),
}
