"""The proxy's agent: it tells the directors' hosts how many connections are left here.

It is a guest in the daemon: whatever happens to it is logged, and the datapath goes on.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

from glb.control.server import serve_on
from glb.daemon.lifecycle import Actions, ask
from glb.proxy.api import AgentSettings, create_app
from glb.proxy.proxy import Proxy

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_BACKLOG = 64

T = TypeVar("T")


async def serve_agent(actions: Actions[Proxy], stop: asyncio.Event) -> None:
    """Answer until stop is set, by the configuration as it is, and on the interface's addresses as they are."""
    agent = _Agent()
    try:
        while not stop.is_set():
            await _unless(stop, agent.follow(actions))
            await _unless(stop, asyncio.sleep(_LOOK_SECONDS))
    finally:
        await agent.stop()


class _Agent:
    """The server that runs, and what it was started with. None are fine: the agent may be switched off."""

    def __init__(self) -> None:
        self._settings: AgentSettings | None = None
        self._servers: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._trouble: str | None = None

    async def follow(self, actions: Actions[Proxy]) -> None:
        """Serve what the proxy wants served now. Anything that goes wrong is logged once, reported, and tried again."""
        trouble = None
        try:
            wanted = await ask(actions, Proxy.agent_settings)
            if wanted != self._settings or any(server.done() for server in self._servers):
                await self.stop()
                self._start(wanted)
            if wanted is not None and not wanted.addresses:
                trouble = f"{wanted.interface} has no IPv4 address"
        except Exception as error:  # whatever it is: the guest must not bring down its host
            trouble = str(error)
        if trouble is not None and trouble != self._trouble:
            log.error("the agent does not answer; packets go on as before: %s", trouble)
        self._trouble = trouble
        places = self._settings.places if self._settings and not trouble else ()
        await ask(actions, lambda proxy: proxy.note_agent(places, trouble))

    async def stop(self) -> None:
        self._stop.set()
        for ended in await asyncio.gather(*self._servers, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("the agent has failed; packets go on as before: %s", ended)
        self._settings, self._servers, self._stop = None, [], asyncio.Event()

    def _start(self, wanted: AgentSettings | None) -> None:
        if wanted is not None:
            app = create_app(wanted)
            for listener in _listeners(wanted):
                self._servers.append(asyncio.create_task(serve_on(app, listener, self._stop)))
            if wanted.places:
                log.info("%s: the agent answers on %s", wanted.interface, ", ".join(wanted.places))
        self._settings = wanted


def _listeners(wanted: AgentSettings) -> list[socket.socket]:
    """One for each address, or none if one of them cannot be had."""
    with contextlib.ExitStack() as opened:
        listeners = [opened.enter_context(_listener(str(address), wanted.port)) for address in wanted.addresses]
        opened.pop_all()
        return listeners


def _listener(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port), backlog=_BACKLOG)
    except OSError as error:
        raise OSError(error.errno, f"{address}:{port}: {error.strerror}") from error


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> None:
    """Do the work, or as much of it as comes before the stop: by then, nobody may be there who would finish it."""
    tasks = [asyncio.create_task(work), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
