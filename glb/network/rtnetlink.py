# SPDX-License-Identifier: MIT
"""Requests to the kernel about routes, neighbours and links (rtnetlink(7)), without a library.

A director looks up the route to each backend each time that something changes. pyroute2 takes 430 us for one, most of
it in objects for fields that are not used; with thousands of backends that is seconds.
"""

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum

from glb.errors import NetworkError

REQUEST, ACK, ROOT, MATCH, EXCL, CREATE = 0x001, 0x004, 0x100, 0x200, 0x200, 0x400  # NLM_F_*
DUMP = ROOT | MATCH

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr: length, type
_NESTED = 0x8000 | 0x4000  # NLA_F_NESTED, NLA_F_NET_BYTEORDER
_RECEIVE_BYTES = 1 << 17
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12


class Message(IntEnum):
    """RTM_*"""

    GETLINK = 18
    GETADDR = 22
    GETROUTE = 26
    NEWNEIGH = 28
    GETNEIGH = 30
    NEWNSID = 88
    GETNSID = 90


Attributes = Mapping[int, bytes]
"""The attributes of a message by their type; of a repeated one the last."""


class Rtnetlink:
    """A socket for requests, one after the other. Made by `open_rtnetlink`."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def request(self, message: Message, body: bytes, flags: int = 0) -> bytes:
        """The body of the only answer, empty if it is an acknowledgement. Raises OSError with the kernel's errno."""
        self._send(message, body, REQUEST | flags)
        for answer in self._answers():
            return answer
        return b""

    def dump(self, message: Message, body: bytes) -> Iterator[bytes]:
        """The bodies of all answers, which must be read to their end. Raises OSError with the kernel's errno."""
        self._send(message, body, REQUEST | DUMP)
        while True:
            for answer in self._answers():
                if not answer:
                    return
                yield answer

    def _send(self, message: Message, body: bytes, flags: int) -> None:
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), message, flags, 0, 0) + body)

    def _answers(self) -> Iterator[bytes]:
        """The bodies of one datagram; an empty one is the end of a dump, or an acknowledgement."""
        data = self._socket.recv(_RECEIVE_BYTES)
        at = 0
        while at < len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            body = data[at + _HEADER.size : at + length]
            if kind == _NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", body)
                if code:
                    raise OSError(-code, os.strerror(-code))
            yield b"" if kind in (_NLMSG_ERROR, _NLMSG_DONE) else body
            at += (length + 3) & ~3


@contextmanager
def open_rtnetlink(strict: bool = False) -> Iterator[Rtnetlink]:
    """Open a socket in this network namespace. Errors that are not caught inside are raised as NetworkError.

    strict: the kernel applies the filters of a dump, and refuses what it does not know (NETLINK_GET_STRICT_CHK).
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as connection:
            if strict:
                connection.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
            yield Rtnetlink(connection)
    except OSError as error:
        raise NetworkError(f"netlink: {error.strerror}") from error


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(body: bytes, at: int) -> Attributes:
    """The attributes that begin at this offset."""
    found = {}
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & ~_NESTED] = body[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def number(value: bytes) -> int:
    """An attribute that is an integer in the machine's order."""
    return int.from_bytes(value, "little" if _IS_LITTLE else "big")


_IS_LITTLE = struct.pack("=H", 1) == b"\x01\x00"
