# SPDX-License-Identifier: MIT
"""Random packets from a random.Random: whole stacks of headers, aimed at a configuration, and then spoilt.

The same seed gives the same packets.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from . import build
from .connections import WORD, Known
from .headers import DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, ROUTING, TCP, UDP
from .places import CONFIG, LEAST_FRAME
from .setup import Document

DIRECTOR, PROXY = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 11])
SOURCES = (DIRECTOR, DIRECTOR, PROXY, bytes([10, 0, 0, 200]), bytes([192, 0, 2, 7]))
GUE_PORT = 19523
ROUTER_MAC = bytes.fromhex("0200000000aa")
FAR_HEADER = 160  # mutations strike up to here, most of them much earlier

ERRORS = {4: (3, 11, 12), 6: (1, 2, 3, 4)}
ECHO = {4: 8, 6: 128}
REPLY = {4: 0, 6: 129}
PIECES_OF_NEITHER = (0, 1, 2, 4, 41, 47, 50, 51, 58, 59, 89, 132, 135, 253)
TTLS = (0, 1, 63, 63, 64, 64, 64, 128, 255, 255)
VLAN = (0x8100, 0x88A8, 0x9100)
CLIENTS = {
    4: tuple(bytes([198, 18, n, n * 7 & 255]) for n in range(64)),
    6: tuple(bytes.fromhex("20010db8000c") + bytes(9) + bytes([n]) for n in range(64)),
}
V4_MARTIANS = ("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255")
V6_MARTIANS = ("::", "::1", "ff02::1", "fe80::1", "febf::1", "fec0::1", "fd00::1", "::ffff:203.0.113.10")
MARTIANS = {4: tuple(ip_address(text).packed for text in V4_MARTIANS)}  # or nearly
MARTIANS[6] = tuple(ip_address(text).packed for text in V6_MARTIANS)


@dataclass(frozen=True, slots=True)
class Target:
    """Where packets of a family go: an address, a protocol and a port that some bind has, or nearly has."""

    address: bytes
    protocol: int
    port: int

    @property
    def version(self) -> int:
        return 4 if len(self.address) == 4 else 6


@dataclass(frozen=True, slots=True)
class Aim:
    """What the packets are made for: the MAC of the director, the path's MTU, and its targets."""

    mac: bytes
    mtu: int
    targets: tuple[Target, ...]


def aim_at(tables: Sequence[Document], mac: bytes, mtu: int, rng: random.Random) -> Aim:
    """Targets inside, at the edges and beside every bind of the tables."""
    binds = [bind for table in tables for bind in table["binds"]]
    targets = [target for bind in binds for target in targets_of(bind, rng)]
    return Aim(mac, mtu, tuple(targets or [Target(bytes(4), TCP, 80)]))


def targets_of(bind: Document, rng: random.Random) -> list[Target]:
    network = ip_network(bind["ip"])
    first = bind.get("port", bind.get("port_start"))
    last = bind.get("port", bind.get("port_end"))
    assert isinstance(first, int)
    assert isinstance(last, int)
    protocol = {"tcp": TCP, "udp": UDP}[bind["proto"]]
    low, high = int(network.network_address), int(network.broadcast_address)
    width = network.max_prefixlen // 8
    inside = [(low, first), (high, last), (rng.randint(low, high), rng.randint(first, last)), (low, first)]
    beside = [(high + 1, first), (low, last + 1), (low, first - 1)]
    return [
        Target((address % (1 << 8 * width)).to_bytes(width, "big"), protocol, port & 0xFFFF)
        for address, port in inside * 3 + beside
    ]


def director_frame(rng: random.Random, aim: Aim) -> bytes:
    """One frame: most are valid, many nearly so."""
    frame = link(rng, aim, *ip_packet(rng, aim))
    if rng.random() < 0.3:
        frame += rng.randbytes(rng.choice((1, 2, 6, 14, 46)))
    return spoilt(rng, frame) if rng.random() < 0.45 else frame


def link(rng: random.Random, aim: Aim, version: int, packet: bytes) -> bytes:
    count = rng.choices((0, 1, 2, 3), (75, 14, 10, 1))[0]
    tags = tuple((rng.choice(VLAN[:2]) if rng.random() < 0.99 else VLAN[2], rng.getrandbits(16)) for _ in range(count))
    dst = aim.mac if rng.random() < 0.97 else rng.choice((ROUTER_MAC, b"\xff" * 6, aim.mac[:5] + b"\x77"))
    ethertype = build.ETHERTYPE[version] if rng.random() < 0.98 else rng.choice((0x0806, 0x86DD, 0x0800, 0x88CC))
    src = ROUTER_MAC if rng.random() < 0.96 else rng.choice((aim.mac, bytes(6), b"\xff" * 6, b"\x01" + ROUTER_MAC[1:]))
    return build.ethernet(dst, src, ethertype, tags) + packet


def ip_packet(rng: random.Random, aim: Aim) -> tuple[int, bytes]:
    """The version and an IP packet from a client to a target."""
    target = rng.choice(aim.targets)
    clients = CLIENTS if rng.random() < 0.93 else MARTIANS
    client = rng.choice(clients[target.version]) if rng.random() < 0.98 else target.address
    if rng.random() < 0.02:
        return 4, tunnel_error(rng)
    make = rng.choices((flow, error, echo, piece, neither), (50, 20, 10, 12, 8))[0]
    return target.version, make(rng, aim, target, client)


def in_ip(rng: random.Random, src: bytes, dst: bytes, protocol: int, payload: bytes, fragment: int = 0) -> bytes:
    """Put into IPv4, at times with options, or IPv6, at times with extension headers."""
    tos = rng.choice((0, 0, 0, 1, 2, 3, rng.getrandbits(8)))
    if len(src) == 4:
        return in_ipv4(rng, src, dst, protocol, payload, tos, fragment)
    return in_ipv6(rng, src, dst, protocol, payload, tos)


def in_ipv4(
    rng: random.Random, src: bytes, dst: bytes, protocol: int, payload: bytes, tos: int, fragment: int
) -> bytes:
    options = rng.randbytes(4 * rng.randint(1, 10)) if rng.random() < 0.2 else b""
    flags = fragment or rng.choice((0, 0x4000, 0x4000, 0x8000))
    ttl, ident = rng.choice(TTLS), rng.getrandbits(16)
    return build.ipv4(src, dst, protocol, payload, tos, ttl, ident, flags, options)


def in_ipv6(rng: random.Random, src: bytes, dst: bytes, protocol: int, payload: bytes, tos: int) -> bytes:
    count = rng.choices((0, 1, 2, 3, 5, 6, 7, 8), (70, 12, 6, 3, 2, 3, 3, 1))[0]
    following = protocol
    for kind in rng.choices((HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, FRAGMENT), (3, 2, 3, 2), k=count):
        whole = build.fragment_header(following, 0, False)
        payload = (whole if kind == FRAGMENT else build.extension(following, rng.choice((0, 0, 0, 1, 2, 9)))) + payload
        following = kind
    hop_limit, label = rng.choice(TTLS), rng.getrandbits(20) if rng.random() < 0.3 else 0
    return build.ipv6(src, dst, following, payload, tos, hop_limit, label)


def transport(rng: random.Random, src: bytes, dst: bytes, protocol: int, ports: tuple[int, int], data: bytes) -> bytes:
    if protocol == UDP:
        return build.udp(src, dst, *ports, data, with_checksum=rng.random() < 0.9)
    options = rng.randbytes(4 * rng.randint(1, 10)) if rng.random() < 0.3 else b""
    return build.tcp(src, dst, *ports, rng.choice((0x02, 0x10, 0x18, 0x11, 0x04, rng.getrandbits(8))), options, data)


def client_port(rng: random.Random) -> int:
    return rng.choice((0, 1, 4711, 65535, rng.getrandbits(16)))


def some_data(rng: random.Random, aim: Aim) -> bytes:
    """Mostly little; at times so much that the packet is just within the MTU, or just not."""
    if rng.random() < 0.12 and aim.mtu < 3000:
        return bytes(max(0, aim.mtu - rng.randint(30, 190)))
    return rng.randbytes(rng.choice((0, 0, 1, 2, 7, 8, 20, 100, 300)))


def flow(rng: random.Random, aim: Aim, target: Target, client: bytes) -> bytes:
    protocol = target.protocol if rng.random() < 0.95 else rng.choice((TCP, UDP))
    ports = client_port(rng), target.port
    data = some_data(rng, aim)
    segment = transport(rng, client, target.address, protocol, ports, data)
    return in_ip(rng, client, target.address, protocol, segment)


def error(rng: random.Random, aim: Aim, target: Target, client: bytes) -> bytes:
    """An ICMP error about a packet from the target to the client."""
    router = rng.choice(CLIENTS[target.version])
    protocol = target.protocol if rng.random() < 0.9 else rng.choice(PIECES_OF_NEITHER)
    if rng.random() < 0.1:
        protocol = build.icmp_protocol(client)
        quoted = build.icmp(target.address, client, REPLY[target.version], 0, 7, some_data(rng, aim))
    else:
        ports = target.port, client_port(rng)
        quoted = transport(rng, target.address, client, protocol, ports, some_data(rng, aim))
    if rng.random() < 0.15:
        quote = fragment_of(rng, target.address, client, protocol, quoted)
    else:
        quote = in_ip(rng, target.address, client, protocol, quoted)
    kind = rng.choice(ERRORS[target.version]) if rng.random() < 0.95 else rng.getrandbits(8)
    cut = rng.choice((len(quote), 28, 48, 96, 200, rng.randrange(len(quote) + 1)))
    addressee = target.address if rng.random() < 0.95 else rng.choice(CLIENTS[target.version])
    message = build.icmp(router, addressee, kind, rng.randrange(5), rng.choice((0, 1400)), quote[:cut])
    return in_ip(rng, router, addressee, build.icmp_protocol(router), message)


def tunnel_error(rng: random.Random) -> bytes:
    """An ICMP error about a packet of the tunnel from the director to a proxy, or nearly so."""
    source = ip_address(CONFIG["outbound_src_ip"]).packed
    router, proxy = rng.choice(CLIENTS[4]), ip_address("10.0.0.11").packed
    port = 19523 if rng.random() < 0.9 else 53
    datagram = build.udp(source, proxy, 0x8000 | rng.getrandbits(15), port, rng.randbytes(rng.choice((0, 8, 64))))
    quote = in_ip(rng, source, proxy, UDP, datagram)
    kind, code = rng.choice(((3, 4), (3, 4), (3, 3), (11, 0), (11, 4), (12, 0)))
    message = build.icmp(router, source, kind, code, rng.choice((0, 1400)), quote[: rng.choice((28, 48, len(quote)))])
    return in_ip(rng, router, source, ICMP, message)


def echo(rng: random.Random, aim: Aim, target: Target, client: bytes) -> bytes:
    kind = ECHO[target.version] if rng.random() < 0.9 else rng.choice((0, 129, 13, 135, 8, 128))
    message = build.icmp(client, target.address, kind, 0, rng.getrandbits(32), some_data(rng, aim))
    return in_ip(rng, client, target.address, build.icmp_protocol(client), message)


def piece(rng: random.Random, aim: Aim, target: Target, client: bytes) -> bytes:
    protocol = target.protocol if rng.random() < 0.7 else rng.choice((ICMP, ICMPV6, TCP, UDP, 47))
    if protocol in (ICMP, ICMPV6):
        kind = rng.choice((8, 128, 8, 128, 3, 2, 0))
        segment = build.icmp(client, target.address, kind, 0, rng.getrandbits(32), some_data(rng, aim))
    else:
        ports = client_port(rng), target.port
        segment = transport(rng, client, target.address, protocol, ports, some_data(rng, aim))
    return fragment_of(rng, client, target.address, protocol, segment)


def fragment_of(rng: random.Random, src: bytes, dst: bytes, protocol: int, segment: bytes) -> bytes:
    """A first, middle or last piece."""
    offset, more = rng.choice(((0, True), (0, True), (3, True), (200, False), (8191, False)))
    body = segment if offset == 0 else segment[8 * offset :] or rng.randbytes(rng.choice((1, 8, 64)))
    if len(src) == 4:
        return in_ip(rng, src, dst, protocol, body, 0x2000 * more | offset)
    inside = protocol
    if rng.random() < 0.1:
        body, inside = build.extension(protocol) + body, DESTINATION_OPTIONS
    return in_ipv6(rng, src, dst, FRAGMENT, build.fragment_header(inside, offset, more) + body, 0)


def neither(rng: random.Random, aim: Aim, target: Target, client: bytes) -> bytes:
    return in_ip(rng, client, target.address, rng.choice(PIECES_OF_NEITHER), rng.randbytes(rng.choice((0, 4, 8, 60))))


def spoilt(rng: random.Random, frame: bytes) -> bytes:
    """The frame after one to three faults. It keeps an Ethernet header's length: the kernel runs nothing shorter."""
    spoiled = bytearray(frame)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice((flip_bit, set_byte, set_byte, change_word, cut, cut, lengthen, remove, insert))(rng, spoiled)
    spoiled += bytes(max(0, LEAST_FRAME - len(spoiled)))
    return bytes(spoiled)


def place(rng: random.Random, frame: bytearray, width: int = 1) -> int:
    """Where to strike: in the headers, mostly behind the MAC addresses."""
    end = max(min(len(frame), rng.choice((40, 60, 90, FAR_HEADER))) - width + 1, 1)
    return rng.randrange(min(14, end - 1), end) if rng.random() < 0.95 else rng.randrange(end)


def flip_bit(rng: random.Random, frame: bytearray) -> None:
    if frame:
        frame[place(rng, frame)] ^= 1 << rng.randrange(8)


def set_byte(rng: random.Random, frame: bytearray) -> None:
    if frame:
        frame[place(rng, frame)] = rng.choice(
            (0, 1, 4, 0x45, 0x46, 0x4F, 0x60, 6, 17, 44, 58, 0xFF, rng.getrandbits(8))
        )


def change_word(rng: random.Random, frame: bytearray) -> None:
    """A length that is a little wrong, or quite."""
    if len(frame) < 2:
        return
    at = place(rng, frame, 2)
    word = int.from_bytes(frame[at : at + 2], "big")
    changed = rng.choice(
        (word - 1, word + 1, word - 8, word + 8, word + 46, 0, 1, 7, 8, 19, 20, 40, 0xFFFF, len(frame))
    )
    frame[at : at + 2] = (changed & 0xFFFF).to_bytes(2, "big")


def cut(rng: random.Random, frame: bytearray) -> None:
    del frame[rng.randrange(len(frame) + 1) if rng.random() < 0.5 else place(rng, frame) :]


def lengthen(rng: random.Random, frame: bytearray) -> None:
    frame += rng.randbytes(rng.randint(1, 64))


def remove(rng: random.Random, frame: bytearray) -> None:
    at = place(rng, frame)
    del frame[at : at + rng.choice((1, 2, 4, 8, 20))]


def insert(rng: random.Random, frame: bytearray) -> None:
    at = place(rng, frame)
    frame[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8)))


def proxy_frame(rng: random.Random, aim: Aim, clients: Sequence[Known]) -> bytes:
    """A frame of the tunnel, with anything that a director sends inside, or a packet of one of the known flows."""
    version, inner = of_known_flow(rng, rng.choice(clients)) if rng.random() < 0.3 else ip_packet(rng, aim)
    if rng.random() < 0.1:
        inner = inner[: rng.randrange(len(inner) + 1)]
    payload = build.gue(version, some_hops(rng), rng.choice((0, 0, 0, 1, 2, 3, 255)), inner)
    datagram = build.udp(DIRECTOR, PROXY, 0x8000 | rng.getrandbits(15), GUE_PORT, payload, rng.random() < 0.3)
    source = rng.choice(SOURCES)
    tos = rng.choice((0, 1, 2, 3, rng.getrandbits(8)))
    frame = link(rng, aim, 4, build.ipv4(source, PROXY, UDP, datagram, tos, fragment=0x4000))
    if rng.random() < 0.2:
        frame += rng.randbytes(rng.choice((1, 6, 46)))
    return spoilt(rng, frame) if rng.random() < 0.4 else frame


def some_hops(rng: random.Random) -> tuple[bytes, ...]:
    """Few or many; at times this proxy itself, the director, a hop that is there already, or no host at all."""
    count = rng.choices((0, 1, 2, 3, 7, 15, 16, 17), (10, 30, 30, 10, 6, 6, 4, 4))[0]
    hops: list[bytes] = []
    for _ in range(count):
        others = (
            PROXY,
            DIRECTOR,
            rng.choice([*hops, PROXY]),
            rng.randbytes(4),
            bytes([rng.choice((0, 127, 224)), 0, 0, 1]),
        )
        hops.append(rng.choice(others) if rng.random() < 0.3 else b"\x0a\0\0" + rng.randbytes(1))
    return tuple(hops)


def of_known_flow(rng: random.Random, connection: Known) -> tuple[int, bytes]:
    """A segment of a connection, an error about it, or nearly so."""
    known, window = connection.flow, connection.window
    off = rng.choice((0, 0, 0, 1, -1, window, window + 1, -window, -window - 1, 1 << 31))
    sport = known.sport if rng.random() < 0.9 else known.sport ^ 1 << rng.randrange(16)
    if rng.random() < 0.3:
        number = connection.sent + rng.choice((0, 0, 1, -1)) & WORD
        back = build.tcp(known.dst, known.src, known.dport, sport, 0x10, sequence=number)
        quoted = in_ip(rng, known.dst, known.src, TCP, back)
        router = CLIENTS[known.version][0]
        message = build.icmp(router, known.dst, rng.choice(ERRORS[known.version]), 0, 0, quoted)
        return known.version, in_ip(rng, router, known.dst, build.icmp_protocol(router), message)
    flags, number = rng.choice((0x10, 0x10, 0x18, 0x11, 0x04, 0x02, 0x12)), connection.expected + off & WORD
    segment = build.tcp(known.src, known.dst, sport, known.dport, flags, sequence=number)
    return known.version, in_ip(rng, known.src, known.dst, TCP, segment)


def batch(seed: int, aim: Aim, count: int) -> list[bytes]:
    """`count` frames of a seed, for a director."""
    rng = random.Random(seed)
    return [director_frame(rng, aim) for _ in range(count)]


def proxy_batch(seed: int, aim: Aim, clients: Sequence[Known], count: int) -> list[bytes]:
    """`count` frames of a seed, for a proxy."""
    rng = random.Random(seed)
    return [proxy_frame(rng, aim, clients) for _ in range(count)]
