# SPDX-License-Identifier: MIT
"""The user at the other end of the control socket, as the kernel reports it."""

import pwd
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid; unix(7)
_SO_PEERGROUPS = 59  # include/uapi/asm-generic/socket.h
_GROUPS_BYTES = 1024  # the most that Python reads of an option: 256 groups


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a UNIX socket, as it was when it connected: its user, and all its groups."""

    uid: int
    groups: frozenset[int]


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


def peer_credentials(request: web.Request) -> Peer | None:
    """The process that has connected; None over a socket that is not a UNIX one, or is closed."""
    connection = request.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    _, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    groups = {gid}
    with suppress(OSError):  # more groups than fit: the first one counts
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
        groups.update(number for (number,) in struct.iter_unpack("=I", raw))
    return Peer(uid, frozenset(groups))


def uid_of(connection: Any) -> int | None:
    """The uid at the other end of a connected socket; None if it is not a UNIX socket."""
    if connection.family != socket.AF_UNIX:
        return None
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(data)[1]
    return uid
