# SPDX-License-Identifier: MIT
"""Capture filters: as text, and as struct capture_filter of the capture program."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

import numpy as np

from glb.datapath.verdicts import Verdict, verdicts_of
from glb.errors import CaptureError

Network = IPv4Network | IPv6Network

PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
PROGRAMS = ("director", "proxy")
_MAY_REPEAT = "verdict"  # any of those that are named
MAX_BYTES = 2047
GRAMMAR = (
    "client NET, vip NET, port N (the VIP's), client-port N, proto tcp|udp|icmp|icmpv6, verdict NAME "
    '(or the beginning of some, such as "drop"; again for further ones); "and" between them may be left out'
)


@dataclass(frozen=True, slots=True)
class CaptureFilter:
    """Which packets to capture: all conditions must hold; None, or no verdict, matches any. Ports of ICMP are 0.

    client, client_port, vip, port: of the connection as the client's packets show it, in the tunnel as well.
    verdicts: names. one_in: one in so many of the packets that match is captured; 1: all. bytes: kept of each
    frame, 1 to 2047.
    """

    client: Network | None = None
    client_port: int | None = None
    vip: Network | None = None
    port: int | None = None
    protocol: int | None = None
    verdicts: frozenset[str] = frozenset()
    one_in: int = 1
    bytes: int = MAX_BYTES

    @property
    def is_of_flows(self) -> bool:
        """Whether it selects by something that only a packet with a flow has."""
        return any(part is not None for part in (self.client, self.client_port, self.vip, self.port, self.protocol))

    def __post_init__(self) -> None:
        if self.client and self.vip and self.client.version != self.vip.version:
            raise CaptureError(f"client {self.client} and vip {self.vip} are of two families: no packet matches both")


def parse_filter(words: Sequence[str]) -> CaptureFilter:
    """Read a filter such as `client 198.51.100.0/24 and port 443`. Raises CaptureError that says what is allowed."""
    wanted = CaptureFilter()
    seen: set[str] = set()
    rest = [word for text in words for word in text.split() if word != "and"]
    while rest:
        keyword, *rest = rest
        if keyword not in _KEYWORDS:
            raise CaptureError(f'"{keyword}" is not part of a filter. There are: {GRAMMAR}')
        if not rest:
            raise CaptureError(f'"{keyword}" lacks its value. There are: {GRAMMAR}')
        if keyword in seen and keyword != _MAY_REPEAT:
            raise CaptureError(f'"{keyword}" is given twice, and a packet has one')
        seen.add(keyword)
        value, *rest = rest
        wanted = _KEYWORDS[keyword](wanted, value)
    return wanted


def _client(wanted: CaptureFilter, value: str) -> CaptureFilter:
    return replace(wanted, client=_network("client", value))


def _vip(wanted: CaptureFilter, value: str) -> CaptureFilter:
    return replace(wanted, vip=_network("vip", value))


def _port(wanted: CaptureFilter, value: str) -> CaptureFilter:
    return replace(wanted, port=_number("port", value))


def _client_port(wanted: CaptureFilter, value: str) -> CaptureFilter:
    return replace(wanted, client_port=_number("client-port", value))


def _proto(wanted: CaptureFilter, value: str) -> CaptureFilter:
    if value not in PROTOCOLS:
        raise CaptureError(f'proto "{value}" is not one of {", ".join(PROTOCOLS)}')
    return replace(wanted, protocol=PROTOCOLS[value])


def _verdict(wanted: CaptureFilter, value: str) -> CaptureFilter:
    names = {verdict.name for program in PROGRAMS for verdict in verdicts_of(program)}
    meant = {value} if value in names else {name for name in names if name.startswith(f"{value}_")}
    if not meant:
        raise CaptureError(f'verdict "{value}" is neither a name nor the beginning of one: see `glbctl explain`')
    return replace(wanted, verdicts=wanted.verdicts | meant)


def packed(wanted: CaptureFilter, dtype: "np.dtype[Any]", verdicts: Sequence[Verdict], until: int) -> Any:
    """The filter as struct capture_filter in bpf/capture.h, which dtype describes.

    verdicts: those of the program, in the order of their numbers. until: when it ends, in ns of the monotonic clock.
    """
    entry = np.zeros((), dtype)
    entry["until"] = until
    for side, network in (("src", wanted.client), ("dst", wanted.vip)):
        if network is not None:
            entry[side], entry[f"{side}_mask"] = _words(network.network_address), _words(network.netmask)
            entry["family"] = network.version
    entry["src_port"], entry["dst_port"] = socket.htons(wanted.client_port or 0), socket.htons(wanted.port or 0)
    entry["protocol"] = wanted.protocol or 0
    entry["flows_only"] = wanted.is_of_flows
    entry["verdicts"] = sum(
        1 << number for number, verdict in enumerate(verdicts) if not wanted.verdicts or verdict.name in wanted.verdicts
    )
    entry["one_in"], entry["bytes"] = wanted.one_in, wanted.bytes
    return entry


def _words(address: IPv4Address | IPv6Address) -> "np.ndarray[Any, Any]":
    """Two words as in struct flow: bytes as they are sent, an IPv4 address in the lower half of the first."""
    return np.frombuffer(address.packed.ljust(16, b"\0"), np.uint64)


_KEYWORDS: dict[str, Callable[[CaptureFilter, str], CaptureFilter]] = {
    "client": _client,
    "client-port": _client_port,
    "vip": _vip,
    "port": _port,
    "proto": _proto,
    "verdict": _verdict,
}


def _network(keyword: str, text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise CaptureError(f'{keyword} "{text}" is not an address or network: {error}') from None


def _number(keyword: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 65535):
        raise CaptureError(f'{keyword} "{text}" is not a port (1 to 65535)')
    return int(text)
