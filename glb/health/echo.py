# SPDX-License-Identifier: MIT
"""ICMP echoes through the tunnel: one pair of sockets for all of them."""

import asyncio
import secrets
import socket
import struct
from ipaddress import IPv4Address

from glb.health.gue import echo_reply, echo_request, padded, tunnelled
from glb.health.result import Result
from glb.network.path_mtu import kernel_path_mtu, set_dont_fragment

_SOL_RAW = 255
_ICMP_FILTER = 1
_ALL_BUT_ECHO_REPLIES = 0xFFFFFFFE
_RECEIVE_BUFFER = 1 << 20
_PACKETS_AT_ONCE = 64  # then other tasks run
_SEQUENCES = 1 << 16

PASSED = Result(True, "answers")


class Echoes:
    """Sends echo requests to backends and assigns the replies to the requests.

    The request goes through the tunnel; the reply comes directly to this host. The kernel drops all other ICMP messages
    without waking this process.
    """

    def __init__(self, source: IPv4Address) -> None:
        """source: the director's own address. Raises OSError."""
        self._source = source
        self._identifier = secrets.randbelow(1 << 16)
        self._sequence = 0
        self._waiting: dict[int, tuple[IPv4Address, asyncio.Future[None]]] = {}
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._out_whole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._in = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
        try:
            self._out.bind((str(source), 0))
            self._out_whole.bind((str(source), 0))
            set_dont_fragment(self._out_whole)
            self._in.bind((str(source), 0))
            self._in.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", _ALL_BUT_ECHO_REPLIES))
            self._in.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        except BaseException:
            self._close_sockets()
            raise
        asyncio.get_running_loop().add_reader(self._in, self._receive)

    async def ping(self, backend: IPv4Address, port: int, size: int | None = None) -> Result:
        """Send an echo request and wait for the reply. The caller sets the time limit. Raises OSError.

        size: the size in bytes to which the outer packet is padded, limited by the path MTU that the kernel knows; the
        packet has DF (don't fragment) set. The reply is small in any case.
        """
        sequence = self._next_sequence()
        reply = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = backend, reply
        try:
            request = echo_request(self._source, backend, self._identifier, sequence)
            self._send(tunnelled(request), backend, port, size)
            await reply
        finally:
            del self._waiting[sequence]
        return PASSED

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._in)
        self._close_sockets()

    def _send(self, payload: bytes, backend: IPv4Address, port: int, size: int | None) -> None:
        if size is None:
            self._out.sendto(payload, (str(backend), port))
            return
        fits = min(size, kernel_path_mtu(self._source, backend))
        self._out_whole.sendto(padded(payload, fits), (str(backend), port))

    def _close_sockets(self) -> None:
        self._out.close()
        self._out_whole.close()
        self._in.close()

    def _next_sequence(self) -> int:
        while True:
            self._sequence = (self._sequence + 1) % _SEQUENCES
            if self._sequence not in self._waiting:
                return self._sequence

    def _receive(self) -> None:
        for _ in range(_PACKETS_AT_ONCE):
            try:
                packet = self._in.recv(2048)
            except BlockingIOError:
                return
            self._settle(packet)

    def _settle(self, packet: bytes) -> None:
        reply = echo_reply(packet)
        if reply is None or reply[1] != self._identifier:
            return
        backend, waiting = self._waiting.get(reply[2], (None, None))
        if waiting is not None and backend == reply[0] and not waiting.done():
            waiting.set_result(None)
