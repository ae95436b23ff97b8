# SPDX-License-Identifier: MIT
"""The sockets that take new connections or datagrams, as the kernel lists them."""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from glb.network.sock_diag import MESSAGE, attributes, open_sock_diag, sockets

_LISTEN, _CLOSE = 10, 7  # TCP_*; an unconnected UDP socket is in CLOSE
_PROTOCOLS = (("tcp", socket.IPPROTO_TCP, _LISTEN), ("udp", socket.IPPROTO_UDP, _CLOSE))
_SKV6ONLY = 11  # INET_DIAG_SKV6ONLY
_ANY = (IPv4Address(0), IPv6Address(0))

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """protocol: "tcp" or "udp". interface: the index of the one that the socket is bound to; 0 if to none. only_ipv6:
    a socket of IPv6 that takes nothing from IPv4."""

    protocol: str
    address: Address
    port: int
    interface: int = 0
    only_ipv6: bool = False

    def takes(self, address: Address, interface: int) -> bool:
        """Whether a packet for the address that came in by this interface may find the socket."""
        if self.interface not in (0, interface):
            return False
        if self.address in _ANY:
            return self.address.version == address.version or (self.address.version == 6 and not self.only_ipv6)
        return self.address == address


def listeners(namespace: str | None = None) -> tuple[ListeningSocket, ...]:
    """The listening sockets of a network namespace, as `glb.network.namespaces` names them; default: this one.

    Raises NetworkError.
    """
    with open_sock_diag(namespace) as netlink:
        return tuple(
            _listener(protocol, data, begin, end)
            for protocol, number, state in _PROTOCOLS
            for family in (socket.AF_INET, socket.AF_INET6)
            for data, begin, end in sockets(netlink, family, number, 1 << state)
        )


def _listener(protocol: str, data: bytes, begin: int, end: int) -> ListeningSocket:
    family, _, port, raw, interface = MESSAGE.unpack_from(data, begin)
    address: Address = IPv4Address(raw[:4]) if family == socket.AF_INET else IPv6Address(raw)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    only_ipv6 = any(kind == _SKV6ONLY and value[0] for kind, value in attributes(data, begin, end))
    return ListeningSocket(protocol, address, int.from_bytes(port), interface, only_ipv6)
