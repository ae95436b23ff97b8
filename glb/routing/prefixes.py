# SPDX-License-Identifier: MIT
"""The prefixes that a director announces: those of the tables that can serve. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from glb.config.bind_order import binds_in_force
from glb.config.model import Backend, Bind, Network, State
from glb.config.routing import Routing

LAST_RESORT_SECONDS = 15.0
"""How long a prefix stays a last resort after a backend behind it was reached again."""


class Announceable(Protocol):
    """The attributes of a table that routing uses."""

    @property
    def name(self) -> str: ...

    @property
    def binds(self) -> tuple[Bind, ...]: ...

    @property
    def backends(self) -> tuple[Backend, ...]: ...


def can_serve(table: Announceable) -> bool:
    """Whether the table has a backend for its packets. Draining backends still serve their connections."""
    return any(backend.healthy and backend.state is not State.INACTIVE for backend in table.backends)


def prefixes_to_announce(routing: Routing, tables: Iterable[Announceable]) -> tuple[Network, ...]:
    """The prefixes of all tables that can serve, each once, in order.

    A prefix is the network of a bind. If the configuration lists prefixes, it is each of those that covers such a
    network. A VIP of several tables is announced while any of them can serve, since a route has no port. Adjacent
    networks are not merged: a table that fails withdraws its own prefixes only.
    """
    return _prefixes(routing, tuple(tables), ())


def _prefixes(routing: Routing, tables: Sequence[Announceable], left_out: Collection[str]) -> tuple[Network, ...]:
    """left_out: the names of tables that are treated as unable to serve."""
    able = [can_serve(table) and table.name not in left_out for table in tables]
    serving = {bind.network for bind, number in binds_in_force(tables) if able[number]}
    if routing.prefixes is None:
        return in_order(serving)
    return in_order(prefix for prefix in routing.prefixes if any(holds(prefix, network) for network in serving))


def unreachable_behind(
    routing: Routing, tables: Iterable[Announceable], cut_off: Collection[str]
) -> tuple[Network, ...]:
    """The prefixes to announce for which this director reaches no backend of any table.

    cut_off: the names of the tables of which this director reaches no backend.
    """
    listed = tuple(tables)
    reachable = _prefixes(routing, listed, cut_off)
    return tuple(prefix for prefix in _prefixes(routing, listed, ()) if prefix not in reachable)


def last_resorts(before: Mapping[Network, float], unreachable: Iterable[Network], now: float) -> dict[Network, float]:
    """The prefixes to announce as a last resort, each with the time when it was last unreachable.

    before: the previous result. now: seconds by time.monotonic(). A prefix becomes a last resort at once, since `fall`
    failures preceded, and stays one for LAST_RESORT_SECONDS, so that an unstable network does not move flows each time.
    """
    still = {prefix: when for prefix, when in before.items() if now - when < LAST_RESORT_SECONDS}
    return still | dict.fromkeys(unreachable, now)


def not_carried(routing: Routing, prefixes: Iterable[Network]) -> tuple[Network, ...]:
    """The prefixes that no session carries, because no peer has their address family."""
    if routing.control is not None:
        return ()
    families = {family for family in (4, 6) for peer in routing.peers if peer.carries(family)}
    return tuple(prefix for prefix in prefixes if prefix.version not in families)


def holds(prefix: Network, network: Network) -> bool:
    """Whether a prefix covers a network."""
    return (
        prefix.version == network.version
        and prefix.prefixlen <= network.prefixlen
        and network.network_address in prefix
    )


def in_order(prefixes: Iterable[Network]) -> tuple[Network, ...]:
    """IPv4 first, then by address."""
    return tuple(sorted(set(prefixes), key=lambda p: (p.version, int(p.network_address), p.prefixlen)))
