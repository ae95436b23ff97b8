# SPDX-License-Identifier: MIT
"""The hops that packets are still forwarded to: the daemon resolves only these. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

HOP_SECONDS = 60.0
MOST_HOPS = 64
"""Resolving a hop takes a fraction of a millisecond at each refresh. The limit protects the daemon from a sender of
tunnelled packets that chooses many hops."""


@dataclass(frozen=True, slots=True)
class _Seen:
    packets: int
    changed: float
    latest: int  # packets of the latest growth


class LiveHops:
    """The hops whose packet counts have grown in the last HOP_SECONDS: at most MOST_HOPS of them, those with the
    latest and largest growth."""

    def __init__(self) -> None:
        self._seen: dict[IPv4Address, _Seen] = {}

    def update(self, counts: Mapping[IPv4Address, int], now: float) -> set[IPv4Address]:
        """counts: packets forwarded so far, by hop. now: seconds of a monotonic clock."""
        seen = {hop: self._see(hop, packets, now) for hop, packets in counts.items()}
        live = [hop for hop, found in seen.items() if now - found.changed < HOP_SECONDS]
        live.sort(key=lambda hop: (seen[hop].changed, seen[hop].latest), reverse=True)
        self._seen = {hop: seen[hop] for hop in live[:MOST_HOPS]}
        return set(self._seen)

    def _see(self, hop: IPv4Address, packets: int, now: float) -> _Seen:
        before = self._seen.get(hop)
        if before is None:
            return _Seen(packets, now, packets)
        if packets == before.packets:
            return before
        return _Seen(packets, now, packets - before.packets)
