"""Real TCP connections of this process, on loopback: what a proxy's sockets know."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from .headers import TCP, Flow

_TCP_REPAIR, _TCP_REPAIR_QUEUE, _TCP_QUEUE_SEQ = 19, 20, 21
_TCP_RECV_QUEUE = 1
_TCP_REPAIR_OFF_NO_WP = -1  # without a probe of the window, which the server would take for the ACK

FAMILIES = (
    (socket.AF_INET, "127.0.0.1", ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")),
    (socket.AF_INET6, "::1", ("::1", "::1")),
)


@contextmanager
def connections() -> Iterator[tuple[Flow, ...]]:
    """Some of IPv4 and IPv6, as their clients see them; they last as long as the context."""
    with ExitStack() as stack:
        flows = []
        for family, server, clients in FAMILIES:
            listener = stack.enter_context(socket.create_server((server, 0), family=family))
            for client in clients:
                connected = socket.create_connection(listener.getsockname()[:2], source_address=(client, 0))
                stack.enter_context(connected)
                stack.enter_context(listener.accept()[0])
                flows.append(flow_of(connected))
        yield tuple(flows)


def flow_of(client: socket.socket) -> Flow:
    src, sport = client.getsockname()[:2]
    dst, dport = client.getpeername()[:2]
    return Flow(TCP, ip_address(src).packed, ip_address(dst).packed, sport, dport)


def backward(flow: Flow) -> Flow:
    """The same connection as the server sees it: on loopback, its client's socket is here as well."""
    return Flow(flow.protocol, flow.dst, flow.src, flow.dport, flow.sport)


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """A connection that its server does not count as open, and the sequence number of the SYN-ACK."""

    flow: Flow
    sent: int


@contextmanager
def half_open() -> Iterator[tuple[HalfOpen, ...]]:
    """One of each family. The server waits for data before it takes the client's ACK."""
    with ExitStack() as stack:
        found = []
        for family, server, _ in FAMILIES:
            listener = stack.enter_context(socket.create_server((server, 0), family=family))
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
            client = stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
            found.append(HalfOpen(flow_of(client), expected_by(client) - 1 & 0xFFFFFFFF))
        yield tuple(found)


def expected_by(client: socket.socket) -> int:
    """The sequence number that a socket expects next: tcp(7) tells it of one that is under repair."""
    client.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    client.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR_QUEUE, _TCP_RECV_QUEUE)
    number = client.getsockopt(socket.IPPROTO_TCP, _TCP_QUEUE_SEQ)
    client.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _TCP_REPAIR_OFF_NO_WP)
    return number & 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Closed:
    """A connection of which one end is left, in TIME-WAIT: what comes to it, and the number that would come next."""

    flow: Flow
    expected: int


def closed() -> tuple[Closed, ...]:
    """One of each family. The client closed first, so its end stays: what comes to it came from the server."""
    return tuple(_closed(family, server) for family, server, _ in FAMILIES)


def _closed(family: socket.AddressFamily, address: str) -> Closed:
    with socket.create_server((address, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        flow = flow_of(client)
        server = listener.accept()[0]
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        expected = expected_by(client)
        server.close()
        assert client.recv(1) == b""
        client.close()
    return Closed(backward(flow), expected + 1 & 0xFFFFFFFF)
