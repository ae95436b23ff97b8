# SPDX-License-Identifier: MIT
"""Binds as text: the inverse of `str(bind)`."""

import re
from ipaddress import ip_network

from glb.config.model import Bind, Proto
from glb.errors import ConfigError

_BIND = re.compile(
    r"(?:\[(?P<six>[0-9a-fA-F:.]+(?:/\d+)?)\]|(?P<four>[0-9.]+(?:/\d+)?))"
    r":(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?/(?P<proto>tcp|udp)",
    re.ASCII,
)


def parse_bind(text: str) -> Bind:
    """203.0.113.10:80/tcp, 203.0.113.0/24:8000-8099/tcp, [2001:db8:f::10]:53/udp. Raises ConfigError."""
    found = _BIND.fullmatch(text)
    if not found:
        raise ConfigError(f'"{text}" is not a bind such as 203.0.113.10:80/tcp or [2001:db8::/64]:8000-8099/udp')
    first, last = int(found["first"]), int(found["last"] or found["first"])
    if not 0 <= first <= last <= 65535:
        raise ConfigError(f'"{text}": ports are 0 to 65535, and a range begins with the lower one')
    try:
        network = ip_network(found["four"] or found["six"])
    except ValueError as error:
        raise ConfigError(f'"{text}": {error}') from error
    return Bind(network, Proto(found["proto"]), first, last)
