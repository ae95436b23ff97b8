# SPDX-License-Identifier: MIT
"""Why a packet cannot be sent to a next hop."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

_MOST_LINES = 16


class RefusalCause(StrEnum):
    """The causes. Each has its remedy in glb/doctor/director.py."""

    NO_ROUTE = "no route"
    BLACKHOLE = "a blackhole route"
    UNREACHABLE = "an unreachable route"
    PROHIBITED = "a prohibit route or rule"
    LOCAL = "an address of this host"
    NOT_UNICAST = "a broadcast or multicast address"
    ENCAPSULATED = "a route that encapsulates"
    OTHER_INTERFACE = "the route leaves by another interface"
    NO_NEIGHBOUR = "the next hop does not answer ARP or neighbour discovery"
    NO_MAC = "the next hop has no MAC address"
    LOOKUP = "the kernel does not look the route up"


@dataclass(frozen=True, slots=True)
class PathRefusal:
    """detail: such as the interface or the next hop; "" if there is none."""

    cause: RefusalCause
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.cause} ({self.detail})" if self.detail else str(self.cause)


def news(refusals: Mapping[str, str], known: Mapping[str, str]) -> Iterator[str]:
    """Log lines about hosts that were not refused before, or for another reason. Both mappings: address to reason."""
    fresh = [address for address, reason in refusals.items() if known.get(address) != reason]
    for address in fresh[:_MOST_LINES]:
        yield f"{address}: {refusals[address]}"
    if len(fresh) > _MOST_LINES:
        yield f"{len(fresh) - _MOST_LINES} more: see `status`"
