"""Serving a daemon's API on a UNIX socket, to root and to one group."""

import asyncio
import contextlib
import grp
import os
import socket
from collections.abc import Generator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from glb.control.errors import ControlError
from glb.control.peer import PeerProtocol

_BACKLOG = 64
_MAX_HEAD_BYTES = 1 << 17  # of a request: the many binds of a table are named in its first line
_GRACE_SECONDS = 2  # that open requests get at the end


class Listener:
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


async def serve(app: FastAPI, listener: Listener, stop: asyncio.Event) -> None:
    """Answer requests until stop is set; the socket is gone afterwards."""
    try:
        await serve_on(app, listener.socket, stop)
    finally:
        listener.close()


async def serve_on(app: FastAPI, listener: socket.socket, stop: asyncio.Event) -> None:
    """The same on a socket of any family."""
    settings = uvicorn.Config(
        app,
        http=PeerProtocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_SECONDS,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
    )
    server = _Server(settings)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await stop.wait()
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Signals are the daemon's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
