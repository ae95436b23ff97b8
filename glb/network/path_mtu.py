# SPDX-License-Identifier: MIT
"""Path MTUs of backends, learned from routers' ICMP messages about tunnelled packets (RFC 1191).

The kernel uses such a message only for a packet that one of its sockets has sent. The XDP program's packets have no
socket, so the daemon reads the messages. It treats them as the kernel does: an MTU below `net.ipv4.route.min_pmtu` is
raised to that, and a learned MTU expires after `net.ipv4.route.mtu_expires` seconds.
"""

import ctypes
import socket
import struct
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from glb.network.routes import TUNNEL_PORT

_SETTINGS = Path("/proc/sys/net/ipv4/route")
_MIN_PMTU, _MTU_EXPIRES = 552, 600  # the kernel's defaults, if the namespace does not show them
_LEAST_SOURCE_PORT = 0x8000  # of the tunnel: bpf/encapsulate.h
_UDP = socket.IPPROTO_UDP
_DONT_FRAGMENT = 0x4000
_FRAGMENTATION_NEEDED = 0x0304  # type and code
_IPV4_HEADER, _ICMP_HEADER, _UDP_PORTS = 20, 8, 4
# RFC 1191, section 7: MTUs of links, for routers that do not report theirs.
_PLATEAUS = (32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68)
_IP_MTU_DISCOVER, _IP_PMTUDISC_DO, _IP_MTU = 10, 2, 14  # <linux/in.h>
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
# Accepts only "fragmentation needed": x = length of the IP header; half-word at x; equal? all of it; or nothing.
_FILTER = ((0xB1, 0, 0, 0), (0x48, 0, 0, 0), (0x15, 0, 1, _FRAGMENTATION_NEEDED), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class TooBig:
    """A router's "fragmentation needed" and the UDP datagram with DF that it quotes.

    length: the quoted IP packet's, in bytes. mtu: of the next link; 0 if the router does not report it.
    """

    source: IPv4Address
    destination: IPv4Address
    source_port: int
    port: int
    length: int
    mtu: int


@dataclass(frozen=True, slots=True)
class _Learned:
    mtu: int
    until: float


class PathMtus:
    """The MTUs that were learned, by backend. One thread may learn while others read."""

    def __init__(self, floor: int, lifetime: float) -> None:
        """floor: the smallest MTU, in bytes. lifetime: in seconds."""
        self._floor = floor
        self._lifetime = lifetime
        self._known: Mapping[IPv4Address, _Learned] = {}

    def learn(self, message: TooBig, source: IPv4Address, backends: Collection[IPv4Address], now: float) -> bool:
        """Learn from a message; returns whether an MTU has changed.

        source: of tunnelled packets. A message is ignored if it is not about a tunnelled packet to one of the backends,
        if its MTU would have let the packet pass, or if it is above the known MTU.
        """
        of_tunnel = message.port == TUNNEL_PORT and message.source_port >= _LEAST_SOURCE_PORT
        if not of_tunnel or message.source != source or message.destination not in backends:
            return False
        mtu = message.mtu or next((plateau for plateau in _PLATEAUS if plateau < message.length), self._floor)
        if mtu >= message.length:
            return False
        mtu = max(mtu, self._floor)
        before = self.current(now).get(message.destination)
        if before is not None and before < mtu:
            return False
        self._known = {**self._known, message.destination: _Learned(mtu, now + self._lifetime)}
        return before != mtu

    def current(self, now: float) -> dict[IPv4Address, int]:
        """The MTUs that have not expired, in bytes of outer packet."""
        return {backend: learned.mtu for backend, learned in self._known.items() if learned.until > now}


def path_mtus() -> PathMtus:
    """Without MTUs, and with the kernel's limits."""
    return PathMtus(_setting("min_pmtu", _MIN_PMTU), _setting("mtu_expires", _MTU_EXPIRES))


def kernel_path_mtu(source: IPv4Address, destination: IPv4Address) -> int:
    """The kernel's MTU of a path, in bytes: the interface's, the route's, or that reported by a router.

    The kernel uses routers' messages only for packets that a socket sent. Raises OSError if there is no route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.bind((str(source), 0))
        route.connect((str(destination), TUNNEL_PORT))  # sends nothing
        return route.getsockopt(socket.IPPROTO_IP, _IP_MTU)


def set_dont_fragment(sender: socket.socket) -> None:
    """Set DF on the socket's packets; larger ones than the kernel's path MTU are refused (EMSGSIZE). Source: ip(7)."""
    sender.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)


def open_messages() -> socket.socket:
    """A socket that receives only "fragmentation needed". Raises OSError: it needs CAP_NET_RAW."""
    code = b"".join(struct.pack("=HBBI", *step) for step in _FILTER)
    steps = ctypes.create_string_buffer(code)
    messages = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
    try:
        program = struct.pack("@HP", len(_FILTER), ctypes.addressof(steps))  # struct sock_fprog
        messages.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
    except BaseException:
        messages.close()
        raise
    return messages


def read_too_big(packet: bytes) -> TooBig | None:
    """The message in an IPv4 packet with ICMP; None if it is damaged, or not about a UDP datagram with DF."""
    message = packet[_header_length(packet) :]
    quote = message[_ICMP_HEADER:]
    length = _header_length(quote)
    if len(quote) < max(length, _IPV4_HEADER) + _UDP_PORTS or _sum(message) != 0xFFFF:
        return None
    kind, mtu = struct.unpack_from("!H4xH", message)
    total, fragment, protocol = struct.unpack_from("!H2xHxB", quote, 2)
    if kind != _FRAGMENTATION_NEEDED or quote[0] >> 4 != 4 or protocol != _UDP or fragment != _DONT_FRAGMENT:
        return None
    source_port, port = struct.unpack_from("!HH", quote, length)
    return TooBig(IPv4Address(quote[12:16]), IPv4Address(quote[16:20]), source_port, port, total, mtu)


def _header_length(packet: bytes) -> int:
    return (packet[0] & 0xF) * 4 if packet else 0


def _sum(message: bytes) -> int:
    """The Internet checksum's sum (RFC 1071): all ones over an undamaged message."""
    padded = message + bytes(len(message) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _setting(name: str, default: int) -> int:
    with suppress(OSError, ValueError):
        return int((_SETTINGS / name).read_text())
    return default
