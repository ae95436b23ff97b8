"""Who is at the other end of the control socket, as the kernel knows it."""

import asyncio
import pwd
import socket
import struct
from typing import Any, cast

from fastapi import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid; unix(7)


class PeerProtocol(H11Protocol):
    """Notes for each request which user has made the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": _user_of(transport.get_extra_info("socket"))}


def peer_of(request: Request) -> str | None:
    """The name of the user who asks, or his number if he has none; None over a socket that is not a UNIX one."""
    return cast("str | None", getattr(request.state, "peer", None))


def _user_of(connection: Any) -> str | None:
    if connection.family != socket.AF_UNIX:
        return None
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(data)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
