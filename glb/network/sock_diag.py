# SPDX-License-Identifier: MIT
"""Listing sockets by the kernel's sock_diag(7)."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from glb.errors import NetworkError
from glb.network.namespaces import within

MESSAGE = struct.Struct("=BBxx2s2x16s16xi28x")
"""struct inet_diag_msg: family, state, local port, local address, index of the interface that it is bound to."""

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_DUMP = 0x001 | 0x300  # NLM_F_REQUEST, NLM_F_DUMP
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_BYTECODE = 1  # INET_DIAG_REQ_BYTECODE

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr: length, type
_REQUEST = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2: family, protocol, extensions, states; any socket
_RECEIVE_BYTES = 1 << 18


@contextmanager
def open_sock_diag(namespace: str | None = None) -> Iterator[socket.socket]:
    """namespace: the network namespace to look into, as `glb.network.namespaces` names them; default: this one.

    Raises NetworkError.
    """
    with _open() if namespace is None else within(namespace, _open) as netlink:
        yield netlink


def sockets(
    netlink: socket.socket, family: int, protocol: int, states: int, bytecode: bytes = b""
) -> Iterator[tuple[bytes, int, int]]:
    """The sockets that the kernel lists: data, and where in it a MESSAGE begins and the attributes behind it end.

    states: a bit for each TCP_*. bytecode: a filter of INET_DIAG_BC_*. Raises NetworkError.
    """
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(bytecode), _BYTECODE) + bytecode if bytecode else b""
    body = _REQUEST.pack(family, protocol, 0, states) + attribute
    netlink.send(_HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _DUMP, 0, 0) + body)
    while True:
        data = netlink.recv(_RECEIVE_BYTES)
        at = 0
        while at < len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", data, at + _HEADER.size)
                raise NetworkError(f"the kernel does not list its sockets: {os.strerror(-code)}")
            yield data, at + _HEADER.size, at + length
            at += (length + 3) & ~3


def attributes(data: bytes, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The attributes (INET_DIAG_*) behind a MESSAGE, as `sockets` gives its place."""
    at = begin + MESSAGE.size
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _open() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
