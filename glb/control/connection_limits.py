# SPDX-License-Identifier: MIT
"""How many connections a listener serves at the same time, and for how long. Pure.

At the limit, an old connection that has not sent its request is closed in favour of a new one. Idle connections cost
their owner nothing, so a limit that refused new connections would let one client lock out all others.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address, IPv6Network, ip_address

_IPV6_SITE = 64  # bits: one customer has at least so many addresses


class Phase(IntEnum):
    """The phase of a connection. To make room for a new connection, the lowest phase is closed first."""

    REQUEST = 0
    """The request is incomplete."""
    ANSWER = 1
    """The answer is being sent."""
    WORK = 2
    """The answer is being computed."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of a listener.

    connections: at the same time. per_source: the same for one address (IPv6: one /64; UNIX socket: one user).
    request_seconds: from the connection to the last byte of the request. answer_seconds: from the first byte of the
    answer to the last. line_bytes, body_bytes: of a request. interrupts_work: whether the computation of an
    answer may be cancelled for a new connection or because the client has gone; only where requests change nothing.
    """

    connections: int = 64
    per_source: int = 16
    request_seconds: float = 10.0
    answer_seconds: float = 30.0
    line_bytes: int = 8190
    body_bytes: int = 1 << 16
    interrupts_work: bool = True


@dataclass(slots=True, eq=False)
class ServedConnection:
    """One connection. since: when its phase began, in seconds of a monotonic clock."""

    source: Hashable
    since: float
    phase: Phase = Phase.REQUEST

    def enter(self, phase: Phase, now: float) -> None:
        self.phase, self.since = phase, now

    def is_overdue(self, limits: ConnectionLimits, now: float) -> bool:
        seconds = {Phase.REQUEST: limits.request_seconds, Phase.ANSWER: limits.answer_seconds}.get(self.phase)
        return seconds is not None and now - self.since > seconds


class NoRoomError(Exception):
    """The limits are reached, and no connection may be closed to make room."""


def connection_to_close(
    connections: Sequence[ServedConnection], source: Hashable, limits: ConnectionLimits
) -> ServedConnection | None:
    """The connection to close for a new one of the source; None if there is room.

    It belongs to the same source if that has reached its own limit, otherwise to the source with the most connections.

    Raises NoRoomError.
    """
    held = Counter(connection.source for connection in connections)
    if held[source] >= limits.per_source:
        crowd = source
    elif len(connections) >= limits.connections:
        crowd = held.most_common(1)[0][0]
    else:
        return None
    last = Phase.WORK if limits.interrupts_work else Phase.ANSWER
    candidates = [connection for connection in connections if connection.source == crowd and connection.phase <= last]
    if not candidates:
        raise NoRoomError
    return min(candidates, key=lambda connection: (connection.phase, connection.since))


def source_of(address: str) -> str:
    """The source that a TCP connection counts for: an IPv4 address, or an IPv6 /64 network."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed) >> _IPV6_SITE << _IPV6_SITE, _IPV6_SITE)))
    return str(parsed)
