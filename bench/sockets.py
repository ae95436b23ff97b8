# SPDX-License-Identifier: MIT
"""Real sockets for the proxy to find, in a network namespace made for them."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface

from scapy.layers.inet import IP, TCP

from glb.lab import links, netns
from glb.network.namespaces import within

SERVER = "203.0.113.10"
CLIENT = "198.18.0.3"
_COOKIE_CLIENT = "198.18.0.2"
_COOKIE_PORT = 40_000
_BOUND_S = 5.0
_SYN_ACK = 0x12
_TCP_REPAIR, _TCP_REPAIR_QUEUE, _TCP_QUEUE_SEQ, _TCP_RECV_QUEUE = 19, 20, 21, 1


@dataclass(frozen=True, slots=True)
class Sockets:
    """Two listeners, one of which has just handed out SYN cookies, and a connection that the other has accepted."""

    namespace: str
    port: int
    cookie_port: int
    connected_port: int
    """The client's, of the connection."""
    expected: int
    """The sequence number that the connection's server expects next."""

    def cookie(self) -> IP:
        """The ACK of a handshake of which the listener kept nothing: its acknowledgement is a fresh cookie."""
        return within(self.namespace, self._handshake)

    def _handshake(self) -> IP:
        number = 1000
        syn = IP(src=_COOKIE_CLIENT, dst=SERVER) / TCP(
            sport=_COOKIE_PORT, dport=self.cookie_port, seq=number, flags="S"
        )
        with _raw(socket.IPPROTO_TCP) as answers, _raw(socket.IPPROTO_RAW) as out:
            answers.settimeout(_BOUND_S)
            out.sendto(bytes(syn), (SERVER, 0))
            cookie = _cookie(answers)
        ack = TCP(sport=_COOKIE_PORT, dport=self.cookie_port, seq=number + 1, ack=cookie + 1, flags="A")
        return IP(src=_COOKIE_CLIENT, dst=SERVER) / ack


@contextmanager
def sockets() -> Iterator[Sockets]:
    namespace = f"glb-bench-{os.getpid()}-sockets"
    netns.create(namespace)
    try:
        links.set_up(namespace, "lo")
        links.add_addresses(namespace, "lo", [IPv4Interface(each) for each in (SERVER, CLIENT, _COOKIE_CLIENT)])
        with ExitStack() as held:
            listeners = [held.enter_context(within(namespace, _listener)) for _ in range(2)]
            port, cookie_port = (listener.getsockname()[1] for listener in listeners)
            client = held.enter_context(
                within(namespace, lambda: socket.create_connection((SERVER, port), source_address=(CLIENT, 0)))
            )
            server = held.enter_context(listeners[0].accept()[0])
            netns.set_sysctls(namespace, {"net.ipv4.tcp_syncookies": 2})
            yield Sockets(namespace, port, cookie_port, client.getsockname()[1], _expected_by(server))
    finally:
        netns.remove(namespace)


def _expected_by(server: socket.socket) -> int:
    """tcp(7) gives it for a socket under repair."""
    for option, value in ((_TCP_REPAIR, 1), (_TCP_REPAIR_QUEUE, _TCP_RECV_QUEUE)):
        server.setsockopt(socket.IPPROTO_TCP, option, value)
    number = server.getsockopt(socket.IPPROTO_TCP, _TCP_QUEUE_SEQ)
    server.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 0)
    return number & 0xFFFFFFFF


def _listener() -> socket.socket:
    return socket.create_server((SERVER, 0))


def _raw(protocol: int) -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)


def _cookie(answers: socket.socket) -> int:
    """The sequence number of the SYN+ACK to the cookie's client."""
    while True:
        segment = answers.recv(256)[20:]
        _, port, number, _, _, flags = struct.unpack_from("!HHIIBB", segment)
        if port == _COOKIE_PORT and flags == _SYN_ACK:
            return int(number)
