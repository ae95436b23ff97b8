# SPDX-License-Identifier: MIT
"""A TCP end whose segments are made by hand, across a TUN device from the kernel's own TCP."""

import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from pyroute2 import IPRoute

from . import build
from .connections import WORD
from .headers import TCP, Flow, ipv4_header

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_ANSWER_SECONDS = 0.01
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
STATES = {
    0x01: "ESTABLISHED",
    0x02: "SYN_SENT",
    0x03: "SYN_RECV",
    0x04: "FIN_WAIT1",
    0x05: "FIN_WAIT2",
    0x06: "TIME_WAIT",
    0x08: "CLOSE_WAIT",
    0x09: "LAST_ACK",
    0x0B: "CLOSING",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """What the kernel has sent, to which port."""

    port: int
    flags: int
    sequence: int
    acknowledged: int
    length: int

    @property
    def next(self) -> int:
        return self.sequence + self.length + bool(self.flags & SYN) + bool(self.flags & FIN) & WORD


class Wire:
    """The network between the kernel and its peers."""

    def __init__(self, device: int) -> None:
        self._device = device

    def send(self, packet: bytes) -> None:
        os.write(self._device, packet)

    def received(self, port: int) -> list[Segment]:
        """What the kernel sends to this port at once. Earlier connections may still have something sent again."""
        found: list[Segment] = []
        until = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < until:
            try:
                packet = os.read(self._device, 65536)
            except BlockingIOError:
                continue
            ip = ipv4_header(packet)
            if ip is not None and ip.protocol == TCP:
                found.append(_segment(packet[ip.length :]))
        return [segment for segment in found if segment.port == port]


def _segment(tcp: bytes) -> Segment:
    port, sequence, acknowledged, offset, flags = struct.unpack_from("!HIIBB", tcp, 2)
    return Segment(port, flags, sequence, acknowledged, len(tcp) - (offset >> 4) * 4)


@contextmanager
def wire(network: str) -> Iterator[Wire]:
    """A TUN device that leads to a network of peers, in this thread's network namespace."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"peers", _IFF_TUN | _IFF_NO_PI))
        with IPRoute() as ip:
            [index] = ip.link_lookup(ifname="peers")
            ip.link("set", index=index, state="up")
            ip.route("add", dst=network, oif=index)
        yield Wire(device)
    finally:
        os.close(device)


class Peer:
    """The far end of one connection. `sequence` is the next number that it sends, `acknowledged` what it expects."""

    def __init__(self, wire: Wire, flow: Flow, first: int = 1_000_000_000) -> None:
        self.flow = flow
        self._wire = wire
        self.sequence = first
        self.acknowledged = 0

    def packet(self, flags: int, off: int = 0, data: bytes = b"", acknowledged: int = 0) -> bytes:
        """A segment that is `off` away from where it should be, and so is its acknowledgement."""
        numbers = {
            "sequence": self.sequence + off & WORD,
            "acknowledged": self.acknowledged + acknowledged & WORD if flags & ACK else 0,
        }
        flow = self.flow
        tcp = build.tcp(flow.src, flow.dst, flow.sport, flow.dport, flags, data=data, **numbers)
        return build.ipv4(flow.src, flow.dst, TCP, tcp)

    def send(self, flags: int) -> None:
        self._wire.send(self.packet(flags))
        self.sequence = self.sequence + bool(flags & SYN) + bool(flags & FIN) & WORD

    def answers_to(self, packet: bytes) -> list[Segment]:
        self._wire.send(packet)
        return self._wire.received(self.flow.sport)

    def hear(self) -> None:
        """Expect what follows the kernel's latest segments, without acknowledging them."""
        for segment in self._wire.received(self.flow.sport):
            self.acknowledged = segment.next

    def state(self) -> str:
        """The kernel's state of this connection, and what its socket has not read."""
        near, far = _hexadecimal(self.flow.dst, self.flow.dport), _hexadecimal(self.flow.src, self.flow.sport)
        for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, queues, *_ = line.split()
            if (local, remote) == (near, far):
                return f"{STATES[int(state, 16)]} {queues.partition(':')[2]}"
        return "none"


def _hexadecimal(address: bytes, port: int) -> str:
    return f"{int.from_bytes(address, 'little'):08X}:{port:04X}"


def bring(wire: Wire, state: str, vip: str, client: str, port: int, held: list[socket.socket]) -> Peer:
    """A connection in this state; `held` gets the sockets that keep it there."""
    server = socket.create_server((vip, 0))
    held.append(server)
    flow = Flow(TCP, ip_address(client).packed, ip_address(vip).packed, port, server.getsockname()[1])
    peer = Peer(wire, flow)
    if state in ("none", "LISTEN"):
        if state == "none":
            server.close()
        return peer
    if state == "SYN_SENT":
        return _answer_to(wire, flow, held)
    peer.send(SYN)
    peer.hear()
    if state == "SYN_RECV":
        return peer
    peer.send(ACK)
    accepted = server.accept()[0]
    held.append(accepted)
    if state in ("CLOSE_WAIT", "LAST_ACK"):
        peer.send(FIN | ACK)
    if state in ("FIN_WAIT1", "FIN_WAIT2", "FIN_WAIT2 closed", "CLOSING", "TIME_WAIT", "LAST_ACK"):
        accepted.close() if state in ("FIN_WAIT2 closed", "LAST_ACK") else accepted.shutdown(socket.SHUT_WR)
        before = peer.acknowledged
        peer.hear()
        if state == "CLOSING":
            expected, peer.acknowledged = peer.acknowledged, before
            peer.send(FIN | ACK)
            peer.acknowledged = expected
        if state in ("FIN_WAIT2", "FIN_WAIT2 closed"):
            peer.send(ACK)
        if state == "TIME_WAIT":
            peer.send(FIN | ACK)
    return peer


def _answer_to(wire: Wire, flow: Flow, held: list[socket.socket]) -> Peer:
    """The peer of a connection that the VIP opens."""
    opening = socket.socket()
    held.append(opening)
    opening.setblocking(False)
    near, far = str(ip_address(flow.dst)), str(ip_address(flow.src))
    opening.bind((near, 0))
    opening.connect_ex((far, flow.sport))
    peer = Peer(wire, Flow(TCP, flow.src, flow.dst, flow.sport, opening.getsockname()[1]))
    peer.hear()
    return peer
