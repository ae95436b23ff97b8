"""Real TCP connections of this process, on loopback: what a proxy's sockets know."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address

from .headers import TCP, Flow

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


@contextmanager
def half_open() -> Iterator[Flow]:
    """A connection that its server does not count as open: it waits for data before it takes the client's ACK."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
        with socket.create_connection(listener.getsockname()) as client:
            yield flow_of(client)


def closed() -> Flow:
    """A connection that its client closed first, so that the client's side alone stays, in TIME-WAIT."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        flow = flow_of(client)
        server = listener.accept()[0]
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        server.close()
        assert client.recv(1) == b""
        client.close()
    return flow
