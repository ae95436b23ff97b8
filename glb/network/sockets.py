"""TCP sockets by their local end and state, as the kernel lists them (sock_diag(7))."""

import os
import socket
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from glb.network.errors import NetworkError
from glb.network.namespaces import within

Ports = tuple[int, int]
"""The first and the last port of a range."""

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_DUMP = 0x001 | 0x300  # NLM_F_REQUEST, NLM_F_DUMP
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_BYTECODE = 1  # INET_DIAG_REQ_BYTECODE
_JUMP, _PORT_AT_LEAST, _PORT_AT_MOST = 1, 2, 3  # INET_DIAG_BC_JMP, _S_GE, _S_LE

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr: length, type
_REQUEST = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2: family, protocol, extensions, states; any socket
_MESSAGE = struct.Struct("=BBxx2s2x16s")  # struct inet_diag_msg begins with: family, state, local port, local address
_STEP = struct.Struct("=BBH")  # struct inet_diag_bc_op: code, bytes to go on by if it holds, and if not
_RANGE_BYTES = 5 * _STEP.size  # two comparisons, each with its port in a step of its own, and a jump
_RECEIVE_BYTES = 1 << 18

_End = tuple[int, int, bytes, bytes]  # family, state, port and address; the last two as on the wire


class TcpState(IntEnum):
    """What a socket's connection has come to, by the kernel's names and numbers (net/tcp_states.h).

    The states without a connection are left out: a listener, a closed socket, and one that connects from here.
    """

    ESTABLISHED = 1
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE_WAIT = 8
    LAST_ACK = 9
    CLOSING = 11


@dataclass(frozen=True, slots=True)
class LocalEnd:
    """One side of connections: this host's address and port, and the state that they are in."""

    address: IPv4Address | IPv6Address
    port: int
    state: TcpState


def count_sockets(ports: Sequence[Ports], namespace: str | None = None) -> Counter[LocalEnd]:
    """How many TCP sockets have each local end, of those whose local port is in one of the ranges.

    namespace: the network namespace to look into, as `glb.network.namespaces` names them; this one if not given.
    Sockets of IPv6 that speak IPv4 (::ffff:192.0.2.1) count under the IPv4 address. The kernel does not hold still
    for this: a connection that comes or goes meanwhile may be counted or not. Raises NetworkError.
    """
    ends: Counter[LocalEnd] = Counter()
    if not ports:
        return ends
    with _open() if namespace is None else within(namespace, _open) as netlink:
        for (family, state, port, address), number in _count(netlink, ports).items():
            ends[LocalEnd(_address(family, address), int.from_bytes(port), TcpState(state))] += number
    return ends


def _open() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)


def _count(netlink: socket.socket, ports: Sequence[Ports]) -> Counter[_End]:
    found: Counter[_End] = Counter()
    for family in (socket.AF_INET, socket.AF_INET6):
        netlink.send(_request(family, ports))
        found.update(_answers(netlink))
    return found


def _answers(netlink: socket.socket) -> Iterator[_End]:
    """The sockets that the kernel lists, until it says that this was all."""
    while True:
        data = netlink.recv(_RECEIVE_BYTES)
        at = 0
        while at < len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", data, at + _HEADER.size)
                raise NetworkError(f"the kernel does not list its TCP sockets: {os.strerror(-code)}")
            yield _MESSAGE.unpack_from(data, at + _HEADER.size)
            at += (length + 3) & ~3


def _request(family: int, ports: Sequence[Ports]) -> bytes:
    states = sum(1 << state for state in TcpState)
    bytecode = _port_filter(ports)
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(bytecode), _BYTECODE) + bytecode
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, states) + attribute
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _DUMP, 0, 0) + body


def _port_filter(ports: Sequence[Ports]) -> bytes:
    """A filter that the kernel runs on each socket: one that it runs to the end of takes the socket, one that it leaves
    by a step more refuses it.

    For each range: at least its first port, at most its last, then jump to the end; else go on with the next range.
    """
    program = b""
    for number, (first, last) in enumerate(ports):
        rest = (len(ports) - number) * _RANGE_BYTES
        otherwise = _RANGE_BYTES if rest > _RANGE_BYTES else _RANGE_BYTES + _STEP.size
        program += _STEP.pack(_PORT_AT_LEAST, 2 * _STEP.size, otherwise) + _STEP.pack(0, 0, first)
        program += _STEP.pack(_PORT_AT_MOST, 2 * _STEP.size, otherwise - 2 * _STEP.size) + _STEP.pack(0, 0, last)
        program += _STEP.pack(_JUMP, _STEP.size, rest - 4 * _STEP.size)
    return program


def _address(family: int, raw: bytes) -> IPv4Address | IPv6Address:
    if family == socket.AF_INET:
        return IPv4Address(raw[:4])
    address = IPv6Address(raw)
    return address.ipv4_mapped or address
