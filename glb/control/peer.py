# SPDX-License-Identifier: MIT
"""The user at the other end of the control socket, as the kernel reports it."""

import pwd
import socket
import struct
from typing import Any

from aiohttp import web

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid; unix(7)


def peer_of(request: web.Request) -> str | None:
    """The name of the connected user, or the uid if it has no name; None for a closed socket or one that is not a UNIX
    socket."""
    connection = request.get_extra_info("socket")
    uid = None if connection is None else uid_of(connection)
    if uid is None:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def uid_of(connection: Any) -> int | None:
    """The uid at the other end of a connected socket; None if it is not a UNIX socket."""
    if connection.family != socket.AF_UNIX:
        return None
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(data)[1]
    return uid
