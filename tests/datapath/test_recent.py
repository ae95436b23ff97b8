# SPDX-License-Identifier: MIT
"""What the proxy remembers of connections that the kernel has just called established."""

import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from glb.datapath import libbpf
from tests.lab.helpers.packets import wait_for
from tests.model.connections import expected_by

from .conftest import ProxyBench
from .test_proxy import LISTENING, tunnelled

ENTRY = np.dtype([("until", "=u8"), ("ports", "=u8"), ("src", "=u8", 2), ("dst", "=u8", 2)])
FOREVER = 1 << 63
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close(2) sends RST, and no socket stays


@pytest.fixture(autouse=True)
def _one_cpu() -> Iterator[None]:
    """Each CPU remembers for itself."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@dataclass
class Connection:
    """A connection on loopback, by what its client sends to the proxy."""

    proxy: ProxyBench
    client: socket.socket
    server: socket.socket

    def __post_init__(self) -> None:
        (src, sport, *_), (dst, dport, *_) = self.client.getsockname(), self.client.getpeername()
        self._sequence = expected_by(self.server)
        self._ip = (IPv6 if ":" in dst else IP)(src=src, dst=dst)
        self._ports = {"sport": sport, "dport": dport}

    def sends(self, flags: str) -> str:
        """The proxy's verdict."""
        return self.proxy.run(tunnelled(self._ip / TCP(flags=flags, seq=self._sequence, **self._ports))).verdict

    def vanish(self) -> None:
        """No socket of either end stays."""
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.server.close()
        self.client.close()


@pytest.fixture(params=LISTENING, ids=["IPv4", "IPv6"])
def connection(request: pytest.FixtureRequest, own_sockets: None, proxy: ProxyBench) -> Iterator[Connection]:
    family, address, source = request.param
    rewrite(proxy, forget)
    with closing(socket.create_server((address, 0), family=family)) as listener:
        client = socket.create_connection(listener.getsockname()[:2], source_address=(source, 0))
        with closing(client), closing(listener.accept()[0]) as server:
            yield Connection(proxy, client, server)


def remembered(proxy: ProxyBench) -> dict[int, Any]:
    """The entries that are there, however long, by their place; the dimension of each is the CPUs."""
    memory = proxy.program.maps["recent"]
    found = {}
    for place in range(memory.info.entries):
        value = libbpf.lookup(memory.fd, place.to_bytes(4, sys.byteorder), memory.value.itemsize)
        entry = np.frombuffer(value, ENTRY)
        if entry["until"].any():
            found[place] = entry.copy()
    return found


def rewrite(proxy: ProxyBench, change: Callable[[Any], None]) -> None:
    """Change each entry that is there."""
    for place, entry in remembered(proxy).items():
        change(entry)
        proxy.program.maps["recent"][place] = entry.tobytes()


def forget(entry: Any) -> None:
    entry["until"] = 0


def keep(entry: Any) -> None:
    entry["until"] = FOREVER


def test_a_connection_is_remembered_after_its_first_segment(proxy: ProxyBench, connection: Connection) -> None:
    assert not remembered(proxy)
    assert connection.sends("A") == "taken_established"
    assert len(remembered(proxy)) == 1
    rewrite(proxy, keep)
    connection.vanish()
    assert connection.sends("A") == "taken_established", "the kernel no longer knows it, and there was no lookup"


def test_a_connection_that_has_vanished_is_forgotten_soon(connection: Connection) -> None:
    assert connection.sends("A") == "taken_established"
    connection.vanish()
    wait_for(lambda: connection.sends("A") == "forwarded", "the socket is looked up again", 10)


@pytest.mark.parametrize("flags", ["FA", "R", "RA"])
def test_a_closing_segment_is_looked_up_and_forgotten(proxy: ProxyBench, connection: Connection, flags: str) -> None:
    connection.sends("A")
    rewrite(proxy, keep)
    connection.vanish()
    assert connection.sends(flags) == "forwarded"
    assert connection.sends("A") == "forwarded"


def test_a_syn_is_taken_as_a_syn(proxy: ProxyBench, connection: Connection) -> None:
    connection.sends("A")
    rewrite(proxy, keep)
    assert connection.sends("S") == "taken_syn"


@pytest.mark.parametrize("field", ["ports", "src", "dst"])
@pytest.mark.parametrize("bit", range(0, 64, 21))
def test_a_connection_of_the_same_entry_is_not_mistaken(
    proxy: ProxyBench, connection: Connection, field: str, bit: int
) -> None:
    def make_another(entry: Any) -> None:
        keep(entry)
        entry[field].reshape(len(entry), -1)[:, 0] ^= np.uint64(1 << bit)

    connection.sends("A")
    rewrite(proxy, make_another)
    connection.vanish()
    assert connection.sends("A") == "forwarded"


@pytest.mark.parametrize("connection", LISTENING[1:], indirect=True, ids=["IPv6"])
@pytest.mark.parametrize("field", ["src", "dst"])
def test_the_second_half_of_an_ipv6_address_counts(proxy: ProxyBench, connection: Connection, field: str) -> None:
    def make_another(entry: Any) -> None:
        keep(entry)
        entry[field][:, 1] ^= np.uint64(1)

    connection.sends("A")
    rewrite(proxy, make_another)
    connection.vanish()
    assert connection.sends("A") == "forwarded"


@pytest.mark.parametrize("end", ["client", "server"])
def test_a_connection_that_one_end_has_closed_is_not_remembered(
    proxy: ProxyBench, connection: Connection, end: str
) -> None:
    closing_end, other = connection.client, connection.server
    if end == "server":
        closing_end, other = other, closing_end
    closing_end.shutdown(socket.SHUT_WR)
    assert other.recv(1) == b""
    assert connection.sends("A") == "taken_established"
    assert not remembered(proxy)


def test_unknown_connections_are_not_cached(proxy: ProxyBench, connection: Connection) -> None:
    connection.vanish()
    assert connection.sends("A") == "forwarded"
    assert not remembered(proxy)
