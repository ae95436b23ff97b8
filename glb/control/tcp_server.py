# SPDX-License-Identifier: MIT
"""A server by TCP that is a guest in a daemon: whatever happens to it is told, and packets go on."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from glb.config.model import Listen, Network
from glb.control.api import Api
from glb.control.seats import Limits
from glb.control.server import serve_on
from glb.errors import ControlError
from glb.waiting import unless, wait_for_any

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_BACKLOG = 64
_BUFFER_BYTES = 1 << 16  # that the kernel keeps for a connection each way; it doubles them, socket(7)

S = TypeVar("S")


class TcpServer(Generic[S]):
    """Serves what is wanted, as it is at each look, each second. Nothing is fine, too: it may be switched off."""

    def __init__(
        self,
        name: str,
        create_api: Callable[[S], Api],
        places_of: Callable[[S], Sequence[Listen]],
        sources_of: Callable[[S], Sequence[Network]],
        limits: Limits,
    ) -> None:
        """name: as the log's lines begin. The functions give, of what is wanted: what answers, where, and to which
        networks (none: to any)."""
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
        """Answer until stop is set. Anything that goes wrong is logged once, noted, and tried again.

        note: told at each look where the server answers, as "address:port", and why it does not, where it is to.
        """
        try:
            while not stop.is_set():
                await unless(stop, self._look(wanted, note))
                await wait_for_any(stop, seconds=_LOOK_SECONDS)
        finally:
            await self._stop()

    async def _look(
        self,
        wanted: Callable[[], Awaitable[S | None]],
        note: Callable[[tuple[str, ...], str | None], Awaitable[None]],
    ) -> None:
        trouble = None
        try:
            await self._follow(await wanted())
        except Exception as error:  # whatever it is: the guest must not bring down its host
            trouble = str(error)
        if trouble is not None and trouble != self._trouble:
            log.error("%s does not answer; packets go on as before: %s", self._name, trouble)
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
            log.info("%s answers on %s", self._name, ", ".join(self._places(wanted)))
        self._wanted = wanted

    def _places(self, wanted: S) -> tuple[str, ...]:
        return tuple(map(str, self._places_of(wanted)))

    async def _stop(self) -> None:
        self._end.set()
        if self._server is not None:
            (ended,) = await asyncio.gather(self._server, return_exceptions=True)
            if isinstance(ended, Exception):
                log.error("%s has failed; packets go on as before: %s", self._name, ended)
        self._wanted, self._server, self._end = None, None, asyncio.Event()


def _listeners(places: Sequence[Listen]) -> list[socket.socket]:
    """One for each place, or none: raises ControlError if one of them cannot be had."""
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
    except OSError as error:  # whose own text has the place once more, as a tuple
        raise ControlError(f"{place}: {os.strerror(error.errno) if error.errno else error}") from error
