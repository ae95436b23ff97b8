# SPDX-License-Identifier: MIT
"""Serve an API on listening sockets, within limits; and the control socket, a UNIX socket for root and one group."""

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Hashable, Sequence
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from glb.config.model import Network
from glb.control.access import Access
from glb.control.api import Api
from glb.control.connection_limits import (
    ConnectionLimits,
    NoRoomError,
    Phase,
    ServedConnection,
    connection_to_close,
    source_of,
)
from glb.control.peer import uid_of
from glb.errors import ControlError

log = logging.getLogger(__name__)

CONTROL = ConnectionLimits(per_source=48, line_bytes=1 << 14, body_bytes=32 << 20, interrupts_work=False)
"""Limits of the control socket. A body holds a table file as a JSON string. Parsing 32 MiB takes about 0.1 s, during
which health checks wait."""

_BACKLOG = 64
_GRACE_SECONDS = 2.0  # for open requests when the server stops
_OVERDUE_CHECK_SECONDS = 1.0
_PAUSE_SECONDS = 0.5  # between two attempts while the system has no descriptor or memory left
_BETWEEN_FAULTS = 60.0  # seconds between two log lines about it
_MAX_FIELDS = 32
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)

_silent = logging.getLogger(f"{__name__}.http")
"""aiohttp logs each malformed request. It is disabled: any client could fill the log."""
_silent.disabled = True


class ControlSocket:
    """A listening UNIX socket. It replaces the file that an earlier daemon left.

    Requests wait in its queue until `serve` answers them.
    """

    def __init__(self, path: Path, access: Access) -> None:
        """access: whose requests are answered. Raises ControlError if the socket cannot be created."""
        self.access = access
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._bind()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.socket.close()
        self.path.unlink(missing_ok=True)

    def _bind(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)
            self.socket.bind(str(self.path))
            self.path.chmod(self.access.mode)
            self.socket.listen(_BACKLOG)
        except OSError as error:
            raise ControlError(f"{self.path}: cannot create the control socket: {error.strerror or error}") from error


async def serve(api: Api, listener: ControlSocket, stop: asyncio.Event) -> None:
    """Answer requests until stop is set, then remove the socket."""
    try:
        await serve_on(api, [listener.socket], stop, CONTROL, access=listener.access)
    finally:
        listener.close()


async def serve_on(
    api: Api,
    listeners: Sequence[socket.socket],
    stop: asyncio.Event,
    limits: ConnectionLimits,
    sources: Sequence[Network] = (),
    access: Access | None = None,
) -> None:
    """Answer requests on sockets of any family until stop is set, then close them. The limits apply to their sum.

    sources: the networks that may connect; empty: any. Connections from other addresses are reset before any read.
    access: who may send which requests over a UNIX socket.
    """
    app = api.application(limits.body_bytes)
    served = _Connections(limits, sources)
    if access is not None:
        app.middlewares.append(access.check)
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
    tasks.append(asyncio.create_task(served.close_overdue(runner.server)))
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
    """The connections of one server, each with one request. `server` is aiohttp's protocol factory."""

    def __init__(self, limits: ConnectionLimits, sources: Sequence[Network]) -> None:
        self._limits = limits
        self._sources = sources
        self._served: dict[RequestHandler, tuple[ServedConnection, asyncio.BaseTransport]] = {}

    async def accept(self, listener: socket.socket, server: web.Server) -> None:
        """Accept connections until cancelled. If the system refuses one, accept again after a pause."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        silent_until = 0.0
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
                await self._admit(connection, address, server)
            except ConnectionError:  # gone before it was accepted
                pass
            except Exception as error:  # mostly OSError; the daemon must survive it
                if loop.time() >= silent_until:
                    silent_until = loop.time() + _BETWEEN_FAULTS
                    log.error("cannot accept connections on %s: %s", listener.getsockname(), error)
                await asyncio.sleep(_PAUSE_SECONDS)
            await asyncio.sleep(0)  # let other tasks run during a flood of connections

    async def close_overdue(self, server: web.Server) -> None:
        """Close connections that exceed their time, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_OVERDUE_CHECK_SECONDS)
            self._forget_closed(server)
            for held, transport in self._served.values():
                if held.is_overdue(self._limits, loop.time()):
                    _abort(transport)

    @web.middleware
    async def note_request(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Read the whole request and record that it has arrived."""
        if request.method in ("POST", "PUT"):
            await request.read()
        self._enter(request, Phase.WORK)
        return await handler(request)

    async def note_answer(self, request: web.Request, response: web.StreamResponse) -> None:
        """Record that the answer is being sent; the connection closes after it."""
        response.force_close()
        self._enter(request, Phase.ANSWER)

    def _enter(self, request: web.Request, phase: Phase) -> None:
        found = self._served.get(request.protocol)
        if found is not None:
            found[0].enter(phase, asyncio.get_running_loop().time())

    async def _admit(self, connection: socket.socket, address: object, server: web.Server) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        source = self._source(connection, address)
        if source is None:
            _reset(connection)
            return
        self._forget_closed(server)
        try:
            last = connection_to_close([held for held, _ in self._served.values()], source, self._limits)
        except NoRoomError:
            _reset(connection)
            return
        for handler, (held, transport) in [*self._served.items()]:
            if held is last:
                del self._served[handler]
                _abort(transport)
        transport, handler = await loop.connect_accepted_socket(server, connection)
        self._served[handler] = (ServedConnection(source, loop.time()), transport)

    def _source(self, connection: socket.socket, address: object) -> Hashable | None:
        """The source that a connection counts for; None if it is refused."""
        if connection.family == socket.AF_UNIX:
            return uid_of(connection)
        assert isinstance(address, tuple)
        host = ip_address(address[0].partition("%")[0])
        if self._sources and not any(host in network for network in self._sources):
            return None
        return source_of(address[0])

    def _forget_closed(self, server: web.Server) -> None:
        alive = set(server.connections)
        for handler in self._served.keys() - alive:
            del self._served[handler]


def _reset(connection: socket.socket) -> None:
    """Close with a reset, so that no socket stays in TIME_WAIT."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    connection.close()


def _abort(transport: asyncio.BaseTransport) -> None:
    assert isinstance(transport, asyncio.WriteTransport)
    transport.abort()
