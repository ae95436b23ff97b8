# SPDX-License-Identifier: MIT
"""TCP sockets by their local end and state, as the kernel lists them."""

import socket
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from glb.network.sock_diag import MESSAGE, open_sock_diag, sockets

Endpoint = tuple[IPv4Address | IPv6Address, int]
"""An address and a port."""

Ports = tuple[int, int]
"""The first and the last port of a range."""

_BOTH_ENDS = struct.Struct("!4xHH16s16s")  # of struct inet_diag_msg
_JUMP, _PORT_AT_LEAST, _PORT_AT_MOST = 1, 2, 3  # INET_DIAG_BC_JMP, _S_GE, _S_LE
_STEP = struct.Struct("=BBH")  # struct inet_diag_bc_op: code, bytes to jump if it is true, and if not
_RANGE_BYTES = 5 * _STEP.size  # two comparisons, each with its port in a step of its own, and a jump

_End = tuple[int, int, bytes, bytes]  # family, state, port and address; the last two as on the wire


class TcpState(IntEnum):
    """The states of connections, by the kernel's names and numbers (net/tcp_states.h).

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
    """The number of TCP sockets of each local end, for local ports in the ranges.

    namespace: the network namespace to look into, as `glb.network.namespaces` names them; default: this one.
    IPv6 sockets with IPv4 addresses (::ffff:192.0.2.1) count under the IPv4 address. The result is no
    snapshot: a connection that is opened or closed meanwhile may be counted or not. Raises NetworkError.
    """
    ends: Counter[LocalEnd] = Counter()
    if not ports:
        return ends
    with open_sock_diag(namespace) as netlink:
        for (family, state, port, address), number in _count(netlink, ports).items():
            ends[LocalEnd(_address(family, address), int.from_bytes(port), TcpState(state))] += number
    return ends


def has_connection(local: Endpoint, remote: Endpoint, namespace: str | None = None) -> bool:
    """Whether a TCP socket has these two ends, in a network namespace as for `count_sockets`. Raises NetworkError."""
    (_, port), (_, far_port) = local, remote
    wanted = (port, far_port, local[0], remote[0])
    states, bytecode = sum(1 << state for state in TcpState), _port_filter([(port, port)])
    with open_sock_diag(namespace) as netlink:
        return any(
            _ends(family, data, begin) == wanted
            for family in (socket.AF_INET, socket.AF_INET6)
            for data, begin, _ in list(sockets(netlink, family, socket.IPPROTO_TCP, states, bytecode))
        )


def _ends(
    family: int, data: bytes, begin: int
) -> tuple[int, int, IPv4Address | IPv6Address, IPv4Address | IPv6Address]:
    """Local and remote port, local and remote address."""
    port, far_port, address, far_address = _BOTH_ENDS.unpack_from(data, begin)
    return port, far_port, _address(family, address), _address(family, far_address)


def _count(netlink: socket.socket, ports: Sequence[Ports]) -> Counter[_End]:
    states = sum(1 << state for state in TcpState)
    bytecode = _port_filter(ports)
    found: Counter[_End] = Counter()
    for family in (socket.AF_INET, socket.AF_INET6):
        listed = sockets(netlink, family, socket.IPPROTO_TCP, states, bytecode)
        found.update(MESSAGE.unpack_from(data, begin)[:4] for data, begin, _ in listed)
    return found


def _port_filter(ports: Sequence[Ports]) -> bytes:
    """A filter that the kernel runs on each socket: a jump to its end accepts the socket, a jump one step beyond
    rejects.

    For each range: at least its first port, at most its last, then jump to the end; otherwise the next range.
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
