# SPDX-License-Identifier: MIT
"""Who may be connected to a listener at the same time, and for how long. Pure.

A new connection is served rather than an old one that has not sent a request: an idle connection costs its owner
nothing, so a limit that refused new ones would lock out everybody else.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address, IPv6Network, ip_address

_IPV6_SITE = 64  # bits: one customer has at least so many addresses


class Phase(IntEnum):
    """What a connection is at; of those that may be closed for a new one, the lowest goes first."""

    REQUEST = 0
    """The request has not arrived as a whole."""
    ANSWER = 1
    """The answer is being sent."""
    WORK = 2
    """The answer is being made."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a listener grants.

    connections: at once. per_source: the same of one address (IPv6: of one /64; UNIX socket: of one user).
    request_seconds: from the connection to the last byte of the request. answer_seconds: from the first byte of the
    answer to the last. line_bytes, body_bytes: of a request. interrupts_work: whether making an answer may be given up
    for a new connection, and is when the client has gone; only where requests change nothing.
    """

    connections: int = 64
    per_source: int = 16
    request_seconds: float = 10.0
    answer_seconds: float = 30.0
    line_bytes: int = 8190
    body_bytes: int = 1 << 16
    interrupts_work: bool = True


@dataclass(slots=True, eq=False)
class Seat:
    """One connection. since: when its phase began, in seconds of a monotonic clock."""

    source: Hashable
    since: float
    phase: Phase = Phase.REQUEST

    def enter(self, phase: Phase, now: float) -> None:
        self.phase, self.since = phase, now

    def is_overdue(self, limits: Limits, now: float) -> bool:
        seconds = {Phase.REQUEST: limits.request_seconds, Phase.ANSWER: limits.answer_seconds}.get(self.phase)
        return seconds is not None and now - self.since > seconds


class NoRoomError(Exception):
    """The limits are reached, and each connection that could make room is being served."""


def to_close(seats: Sequence[Seat], source: Hashable, limits: Limits) -> Seat | None:
    """Which connection has to go for a new one of the source; None if there is room.

    It is one of the same source if that has reached its own limit, otherwise of the source with the most.

    Raises NoRoomError.
    """
    held = Counter(seat.source for seat in seats)
    if held[source] >= limits.per_source:
        crowd = source
    elif len(seats) >= limits.connections:
        crowd = held.most_common(1)[0][0]
    else:
        return None
    last = Phase.WORK if limits.interrupts_work else Phase.ANSWER
    candidates = [seat for seat in seats if seat.source == crowd and seat.phase <= last]
    if not candidates:
        raise NoRoomError
    return min(candidates, key=lambda seat: (seat.phase, seat.since))


def source_of(address: str) -> str:
    """What counts as one source of TCP connections: an IPv4 address, or an IPv6 network of 64 bits."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed) >> _IPV6_SITE << _IPV6_SITE, _IPV6_SITE)))
    return str(parsed)
