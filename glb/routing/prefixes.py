# SPDX-License-Identifier: MIT
"""Which prefixes a director may announce now: those of the tables that can serve."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from glb.config.model import Backend, Bind, Network, State
from glb.config.routing import Routing

LAST_RESORT_SECONDS = 15.0
"""That a prefix stays announced as a last resort after a backend behind it could be reached again."""


class Announceable(Protocol):
    """A table, source or built, as far as routing is concerned."""

    @property
    def name(self) -> str: ...

    @property
    def binds(self) -> tuple[Bind, ...]: ...

    @property
    def backends(self) -> tuple[Backend, ...]: ...


def can_serve(table: Announceable) -> bool:
    """Whether a packet of the table has anywhere to go: draining backends still serve the connections they have."""
    return any(backend.healthy and backend.state is not State.INACTIVE for backend in table.backends)


def prefixes_to_announce(routing: Routing, tables: Iterable[Announceable]) -> tuple[Network, ...]:
    """The prefixes of all tables that can serve, each once, in order.

    A prefix is a bind's network, or, where the configuration lists prefixes, each of those that holds such a network.
    One VIP may belong to several tables: it is announced while any of them can serve, since a route knows no ports.
    Networks next to each other are not merged: a table that fails must withdraw its own and touch no other.
    """
    serving = {bind.network for table in tables if can_serve(table) for bind in table.binds}
    if routing.prefixes is None:
        return in_order(serving)
    return in_order(prefix for prefix in routing.prefixes if any(holds(prefix, network) for network in serving))


def unreachable_behind(
    routing: Routing, tables: Iterable[Announceable], cut_off: Collection[str]
) -> tuple[Network, ...]:
    """The prefixes to announce behind which this director reaches no backend of any table.

    cut_off: the names of the tables of which it reaches none.
    """
    there = tuple(tables)
    reachable = prefixes_to_announce(routing, (table for table in there if table.name not in cut_off))
    return tuple(prefix for prefix in prefixes_to_announce(routing, there) if prefix not in reachable)


def last_resorts(before: Mapping[Network, float], unreachable: Iterable[Network], now: float) -> dict[Network, float]:
    """The prefixes to announce as a last resort, each with the time at which it was found unreachable last.

    before: what this returned last. A prefix becomes one at once, since the health checks have damped that already,
    and stays one for LAST_RESORT_SECONDS, so that a director whose network comes and goes does not move flows each
    time. now: seconds by time.monotonic().
    """
    still = {prefix: when for prefix, when in before.items() if now - when < LAST_RESORT_SECONDS}
    return still | dict.fromkeys(unreachable, now)


def not_carried(routing: Routing, prefixes: Iterable[Network]) -> tuple[Network, ...]:
    """The prefixes that no session carries, for want of a peer of their family."""
    if routing.control is not None:
        return ()
    families = {family for family in (4, 6) for peer in routing.peers if peer.carries(family)}
    return tuple(prefix for prefix in prefixes if prefix.version not in families)


def holds(prefix: Network, network: Network) -> bool:
    """Whether a prefix covers the whole of a network."""
    return (
        prefix.version == network.version
        and prefix.prefixlen <= network.prefixlen
        and network.network_address in prefix
    )


def in_order(prefixes: Iterable[Network]) -> tuple[Network, ...]:
    """IPv4 first, then by address."""
    return tuple(sorted(set(prefixes), key=lambda p: (p.version, int(p.network_address), p.prefixlen)))
