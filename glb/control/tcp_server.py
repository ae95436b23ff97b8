# SPDX-License-Identifier: MIT
"""An HTTP server on TCP inside a daemon. Its failures are logged and reported; packets are forwarded regardless."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from glb.config.model import Listen, Network
from glb.control.api import Api
from glb.control.connection_limits import ConnectionLimits
from glb.control.server import serve_on
from glb.errors import ControlError
from glb.waiting import unless, wait_for_any

log = logging.getLogger(__name__)

_REFRESH_SECONDS = 1.0
_BACKLOG = 64
_BUFFER_BYTES = 1 << 16  # for each direction of a connection; the kernel doubles it, socket(7)

S = TypeVar("S")


class TcpServer(Generic[S]):
    """Serves according to settings that are read once a second. The settings may be None: the server is off."""

    def __init__(
        self,
        name: str,
        create_api: Callable[[S], Api],
        places_of: Callable[[S], Sequence[Listen]],
        sources_of: Callable[[S], Sequence[Network]],
        limits: ConnectionLimits,
    ) -> None:
        """name: the beginning of log lines. The functions map the settings to the API, the addresses to listen on, and
        the networks that may connect (none: any)."""
        self._name = name
        self._create_api = create_api
        self._places_of = places_of
        self._sources_of = sources_of
        self._limits = limits
        self._wanted: S | None = None
        self._server: asyncio.Task[None] | None = None
        self._end = asyncio.Event()
        self._trouble: str | None = None

    async def serve(
        self,
        wanted: Callable[[], Awaitable[S | None]],
        note: Callable[[tuple[str, ...], str | None], Awaitable[None]],
        stop: asyncio.Event,
    ) -> None:
        """Serve until stop is set. A failure is logged once, reported, and followed by another attempt.

        wanted: gives the current settings. note: receives, once a second, the addresses that the server listens on, as
        "address:port", and the reason if it should listen but does not.
        """
        try:
            while not stop.is_set():
                await unless(stop, self._refresh(wanted, note))
                await wait_for_any(stop, seconds=_REFRESH_SECONDS)
        finally:
            await self._stop()

    async def _refresh(
        self,
        wanted: Callable[[], Awaitable[S | None]],
        note: Callable[[tuple[str, ...], str | None], Awaitable[None]],
    ) -> None:
        trouble = None
        try:
            await self._follow(await wanted())
        except Exception as error:  # any error: the server must not stop the daemon
            trouble = str(error)
        if trouble is not None and trouble != self._trouble:
            log.error("%s is not available; packets are forwarded as before: %s", self._name, trouble)
        self._trouble = trouble
        await note(() if self._wanted is None or trouble else self._places(self._wanted), trouble)

    async def _follow(self, wanted: S | None) -> None:
        if wanted == self._wanted and (self._server is None or not self._server.done()):
            return
        await self._stop()
        if wanted is not None:
            listeners = _listeners(self._places_of(wanted))
            serving = serve_on(self._create_api(wanted), listeners, self._end, self._limits, self._sources_of(wanted))
            self._server = asyncio.create_task(serving)
            log.info("%s is listening on %s", self._name, ", ".join(self._places(wanted)))
        self._wanted = wanted

    def _places(self, wanted: S) -> tuple[str, ...]:
        return tuple(map(str, self._places_of(wanted)))

    async def _stop(self) -> None:
        self._end.set()
        if self._server is not None:
            (ended,) = await asyncio.gather(self._server, return_exceptions=True)
            if isinstance(ended, Exception):
                log.error("%s has failed; packets are forwarded as before: %s", self._name, ended)
        self._wanted, self._server, self._end = None, None, asyncio.Event()


def _listeners(places: Sequence[Listen]) -> list[socket.socket]:
    """One for each address. Raises ControlError if one cannot be opened; then all are closed."""
    with contextlib.ExitStack() as opened:
        listeners = [opened.enter_context(_listener(place)) for place in places]
        opened.pop_all()
        return listeners


def _listener(place: Listen) -> socket.socket:
    family = socket.AF_INET6 if place.address.version == 6 else socket.AF_INET
    try:
        listener = socket.create_server((str(place.address), place.port), family=family, backlog=_BACKLOG)
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # which connections inherit
            listener.setsockopt(socket.SOL_SOCKET, buffer, _BUFFER_BYTES)
        return listener
    except OSError as error:  # its own text repeats the address as a tuple
        raise ControlError(f"{place}: {os.strerror(error.errno) if error.errno else error}") from error
