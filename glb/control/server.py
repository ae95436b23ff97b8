# SPDX-License-Identifier: MIT
"""Serving an API on listening sockets, within limits; and the UNIX socket of a daemon, for root and one group."""

import asyncio
import grp
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Hashable, Sequence
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from glb.config.model import Network
from glb.control.api import Api
from glb.control.peer import uid_of
from glb.control.seats import Limits, NoRoomError, Phase, Seat, source_of, to_close
from glb.errors import ControlError

log = logging.getLogger(__name__)

CONTROL = Limits(per_source=48, line_bytes=1 << 14, body_bytes=32 << 20, interrupts_work=False)
"""Of the control socket. A body holds a table file as a JSON string. To parse 32 MiB of it takes some 0.1 s, in which
no health check goes on."""

_BACKLOG = 64
_GRACE_SECONDS = 2.0  # that open requests get at the end
_LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 0.5  # between two tries where the system has no descriptor or memory left
_BETWEEN_FAULTS = 60.0  # seconds between two log lines about it
_MAX_FIELDS = 32
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)

_silent = logging.getLogger(f"{__name__}.http")
"""What aiohttp has to say of each malformed request: whoever can connect could fill the log with it."""
_silent.disabled = True


class ControlSocket:
    """A listening UNIX socket, in the place of one that an earlier daemon left.

    Requests wait in it until `serve` answers them.
    """

    def __init__(self, path: Path, group: str | None) -> None:
        """group: the name of the one whose members may connect, beside root.

        Raises ControlError if there is no such group, or the socket cannot be made.
        """
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._bind(group)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.socket.close()
        self.path.unlink(missing_ok=True)

    def _bind(self, group: str | None) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)
            self.socket.bind(str(self.path))
            self.path.chmod(0o600)
            if group is not None:
                os.chown(self.path, -1, grp.getgrnam(group).gr_gid)
                self.path.chmod(0o660)
            self.socket.listen(_BACKLOG)
        except KeyError:
            raise ControlError(f"{self.path}: there is no group {group}") from None
        except OSError as error:
            raise ControlError(f"{self.path}: the control socket cannot be made: {error.strerror or error}") from error


async def serve(api: Api, listener: ControlSocket, stop: asyncio.Event) -> None:
    """Answer requests until stop is set; the socket is gone afterwards."""
    try:
        await serve_on(api, [listener.socket], stop, CONTROL)
    finally:
        listener.close()


async def serve_on(
    api: Api,
    listeners: Sequence[socket.socket],
    stop: asyncio.Event,
    limits: Limits,
    sources: Sequence[Network] = (),
) -> None:
    """The same on sockets of any family, which are closed afterwards. The limits hold for all of them together.

    sources: the networks that may connect; empty: any. Connections of others are reset before a byte is read.
    """
    app = api.application(limits.body_bytes)
    served = _Connections(limits, sources)
    app.middlewares.append(served.note_request)
    app.on_response_prepare.append(served.note_answer)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_silent,
        handler_cancellation=limits.interrupts_work,
        shutdown_timeout=_GRACE_SECONDS,
        max_line_size=limits.line_bytes,
        max_headers=_MAX_FIELDS,
        auto_decompress=False,
        lingering_time=0,
    )
    await runner.setup()
    assert runner.server is not None
    tasks = [asyncio.create_task(served.accept(listener, runner.server)) for listener in listeners]
    tasks.append(asyncio.create_task(served.look(runner.server)))
    try:
        await stop.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in listeners:
            listener.close()
        await runner.cleanup()


class _Connections:
    """The connections of one server, each with one request. The server is aiohttp's factory of protocols."""

    def __init__(self, limits: Limits, sources: Sequence[Network]) -> None:
        self._limits = limits
        self._sources = sources
        self._seats: dict[RequestHandler, tuple[Seat, asyncio.BaseTransport]] = {}

    async def accept(self, listener: socket.socket, server: web.Server) -> None:
        """Take connections for good. Where the system refuses one, it is tried again after a pause."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        silent_until = 0.0
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
                await self._admit(connection, address, server)
            except ConnectionError:  # gone before it was accepted
                pass
            except Exception as error:  # mostly OSError: the work of the daemon does not depend on this server
                if loop.time() >= silent_until:
                    silent_until = loop.time() + _BETWEEN_FAULTS
                    log.error("no connections are accepted on %s: %s", listener.getsockname(), error)
                await asyncio.sleep(_PAUSE_SECONDS)
            await asyncio.sleep(0)  # a flood of connections must leave the loop to others

    async def look(self, server: web.Server) -> None:
        """End the connections that take too long, for good."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._forget_the_closed(server)
            for seat, transport in self._seats.values():
                if seat.is_overdue(self._limits, loop.time()):
                    _abort(transport)

    @web.middleware
    async def note_request(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Note that the request has arrived, which is read as a whole first."""
        if request.method in ("POST", "PUT"):
            await request.read()
        self._enter(request, Phase.WORK)
        return await handler(request)

    async def note_answer(self, request: web.Request, response: web.StreamResponse) -> None:
        """Note that the answer is sent, which ends the connection."""
        response.force_close()
        self._enter(request, Phase.ANSWER)

    def _enter(self, request: web.Request, phase: Phase) -> None:
        found = self._seats.get(request.protocol)
        if found is not None:
            found[0].enter(phase, asyncio.get_running_loop().time())

    async def _admit(self, connection: socket.socket, address: object, server: web.Server) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        source = self._source(connection, address)
        if source is None:
            _reset(connection)
            return
        self._forget_the_closed(server)
        try:
            last = to_close([seat for seat, _ in self._seats.values()], source, self._limits)
        except NoRoomError:
            _reset(connection)
            return
        for handler, (seat, transport) in [*self._seats.items()]:
            if seat is last:
                del self._seats[handler]
                _abort(transport)
        transport, handler = await loop.connect_accepted_socket(server, connection)
        self._seats[handler] = (Seat(source, loop.time()), transport)

    def _source(self, connection: socket.socket, address: object) -> Hashable | None:
        """Whom a connection counts for; None if it is refused."""
        if connection.family == socket.AF_UNIX:
            return uid_of(connection)
        assert isinstance(address, tuple)
        host = ip_address(address[0].partition("%")[0])
        if self._sources and not any(host in network for network in self._sources):
            return None
        return source_of(address[0])

    def _forget_the_closed(self, server: web.Server) -> None:
        alive = set(server.connections)
        for handler in self._seats.keys() - alive:
            del self._seats[handler]


def _reset(connection: socket.socket) -> None:
    """Close without a trace: no TIME-WAIT stays here."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    connection.close()


def _abort(transport: asyncio.BaseTransport) -> None:
    assert isinstance(transport, asyncio.WriteTransport)
    transport.abort()
