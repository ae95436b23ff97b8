# SPDX-License-Identifier: MIT
"""Real TCP connections of this process: what a proxy's sockets know. The network namespace has their addresses."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from .headers import TCP, Flow

_TCP_REPAIR, _TCP_REPAIR_QUEUE, _TCP_QUEUE_SEQ, _TCP_WINDOW_CLAMP = 19, 20, 21, 10
_TCP_RECV_QUEUE, _TCP_SEND_QUEUE = 1, 2
_TCP_REPAIR_OFF_NO_WP = -1  # without a probe of the window, which the server would take for the ACK

WORD = 0xFFFFFFFF
FAMILIES = (
    (socket.AF_INET, "203.0.113.10", ("198.18.0.2", "198.18.0.3", "198.18.0.4", "198.18.0.5")),
    (socket.AF_INET6, "2001:db8:f::10", ("2001:db8:c::2", "2001:db8:c::3")),
)
ADDRESSES = tuple(address for _, server, clients in FAMILIES for address in (server, *clients))


@dataclass(frozen=True, slots=True)
class Known:
    """A connection that the server has accepted, as its client sees it.

    expected: the number that the server expects next. window: the most that it may offer, in bytes. sent: the number of
    the next byte that it sends; all before is acknowledged.
    """

    flow: Flow
    expected: int = 1
    window: int = 1 << 16
    sent: int = 1


@contextmanager
def connections() -> Iterator[tuple[Known, ...]]:
    """Some of IPv4 and IPv6; they last as long as the context."""
    with ExitStack() as stack:
        found = []
        for family, server, clients in FAMILIES:
            listener = stack.enter_context(socket.create_server((server, 0), family=family))
            for client in clients:
                connected = socket.create_connection(listener.getsockname()[:2], source_address=(client, 0))
                stack.enter_context(connected)
                accepted = stack.enter_context(listener.accept()[0])
                found.append(known_by(accepted, flow_of(connected)))
        yield tuple(found)


def known_by(server: socket.socket, flow: Flow) -> Known:
    window = server.getsockopt(socket.IPPROTO_TCP, _TCP_WINDOW_CLAMP)
    return Known(flow, expected_by(server), window, next_of(server))


def flow_of(client: socket.socket) -> Flow:
    src, sport = client.getsockname()[:2]
    dst, dport = client.getpeername()[:2]
    return Flow(TCP, ip_address(src).packed, ip_address(dst).packed, sport, dport)


def backward(flow: Flow) -> Flow:
    """The same connection as the server sees it."""
    return Flow(flow.protocol, flow.dst, flow.src, flow.dport, flow.sport)


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """A connection that its server does not count as open: the sequence number of the SYN-ACK, and the one that is
    expected next."""

    flow: Flow
    sent: int
    expected: int


@contextmanager
def half_open() -> Iterator[tuple[HalfOpen, ...]]:
    """One of each family. The server waits for data before it takes the client's ACK."""
    with ExitStack() as stack:
        found = []
        for family, server, clients in FAMILIES:
            listener = stack.enter_context(socket.create_server((server, 0), family=family))
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
            client = socket.create_connection(listener.getsockname()[:2], source_address=(clients[0], 0))
            stack.enter_context(client)
            found.append(HalfOpen(flow_of(client), expected_by(client) - 1 & WORD, next_of(client)))
        yield tuple(found)


def expected_by(end: socket.socket) -> int:
    """The sequence number that a socket expects next."""
    return _number_of(end, _TCP_RECV_QUEUE)


def next_of(end: socket.socket) -> int:
    """The sequence number that a socket sends next."""
    return _number_of(end, _TCP_SEND_QUEUE)


def _number_of(end: socket.socket, queue: int) -> int:
    """tcp(7) gives it for a socket under repair."""
    end.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    end.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR_QUEUE, queue)
    number = end.getsockopt(socket.IPPROTO_TCP, _TCP_QUEUE_SEQ)
    end.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _TCP_REPAIR_OFF_NO_WP)
    return number & WORD
