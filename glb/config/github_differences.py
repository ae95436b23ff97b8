# SPDX-License-Identifier: MIT
"""What valid files mean differently to glb-director. Pure.

Each kind of difference is named once, at the first field that it concerns. Source: glb-director's compiler
(glb-director-cli), its XDP and DPDK directors, and its health checker,.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glb.config.bind_order import HasBinds
from glb.config.field import FieldPath, Problem
from glb.config.model import Bind
from glb.printable import plural

_MOST_RECORDS = 256
"""Backends, and binds, of one table in its binary format."""

_OWN_BACKEND_KEYS = ("weight", "zone")
_CHECKS_THERE = {"http", "http_uri", "tcp", "gue", "fou"}
_OWN_DIRECTOR_KEYS = ("icmp_echo", "copy_dscp", "egress", "mtu", "routing", "metrics")


def differences_of_binds(tables: Sequence[HasBinds]) -> list[Problem]:
    """The binds to which glb-director's XDP director sends other packets."""
    found = _Found()
    groups: dict[object, list[tuple[FieldPath, Bind]]] = {}
    for index, table in enumerate(tables):
        for position, bind in enumerate(table.binds):
            place: FieldPath = ("tables", index, "binds", position)
            groups.setdefault((bind.network, bind.proto), []).append((place, bind))
            if bind.network.num_addresses > 1:
                address = bind.address or bind.network.network_address
                found.add("network", (*place, "ip"), f"a network here; its XDP director matches {address} only")
    for binds in groups.values():
        for where, bind in _overridden(binds):
            what = f"{bind} applies, as the narrower range; there, a later bind with the same ports replaces it"
            found.add("range", where, what)
    return found.problems()


def differences_of_tables(raw: Mapping[str, Any]) -> list[Problem]:
    """raw: a valid table source, as JSON values."""
    found = _Found()
    for index, table in enumerate(raw["tables"]):
        place: FieldPath = ("tables", index)
        if table.get("depth") != 2:
            given = table.get("depth")
            depth = "not given, so rows have 3 hops" if given is None else f"{given} hops"
            what = f"{depth}; there 2, in another order if a backend is draining or unhealthy; set 2 in a mixed fleet"
            found.add("depth", (*place, "depth"), what)
        for key in ("backends", "binds"):
            if len(table[key]) > _MOST_RECORDS:
                what = f"{len(table[key]):,} entries; there at most {_MOST_RECORDS}"
                found.add(f"many {key}", (*place, key), what)
        for position, backend in enumerate(table["backends"]):
            _backend(found, (*place, "backends", position), backend)
    return found.problems()


def differences_of_director(raw: Mapping[str, Any]) -> list[Problem]:
    """raw: a valid director's configuration, as JSON values."""
    found = _Found()
    if raw.get("outbound_gateway_mac") is None:
        what = "not given, so the kernel's routes and neighbours decide; there the key is required"
        found.add("gateway", ("outbound_gateway_mac",), what)
    if raw.get("forward_icmp_ping_responses") is None and raw.get("icmp_echo") is None:
        what = "not given, so echoes are not forwarded, as by its XDP director; its DPDK director forwards them"
        found.add("echo", ("forward_icmp_ping_responses",), what)
    for key in _OWN_DIRECTOR_KEYS:
        if raw.get(key) is not None:
            found.add(key, (key,), "a key of glb, which has no effect there")
    return found.problems()


class _Found:
    """Differences by kind."""

    def __init__(self) -> None:
        self._by_kind: dict[str, list[Problem]] = {}

    def add(self, kind: str, place: FieldPath, what: str) -> None:
        self._by_kind.setdefault(kind, []).append((place, what))

    def problems(self) -> list[Problem]:
        return [_summary(entries) for entries in self._by_kind.values()]


def _summary(entries: Sequence[Problem]) -> Problem:
    (place, what), *others = entries
    return place, what + (f" (and {plural(len(others), 'further place')})" if others else "")


def _backend(found: _Found, place: FieldPath, backend: Mapping[str, Any]) -> None:
    if backend.get("healthy") is None:
        found.add("healthy", (*place, "healthy"), "not given, so true; there false")
    for key in _OWN_BACKEND_KEYS:
        if backend.get(key) is not None:
            found.add(key, (*place, key), "a key of glb: its compiler builds the rows without it")
    for key, value in (backend.get("healthchecks") or {}).items():
        if value is None:
            continue
        here = (*place, "healthchecks", key)
        if key == "http":
            found.add("http", here, "a status from 200 to 399 is a success; there 200 is, and redirects are followed")
        elif key == "fou":
            found.add("fou", here, "not made here; its health checker makes it")
        elif key not in _CHECKS_THERE:
            found.add(f"check {key}", here, "its health checker ignores the key")


def _overridden(binds: Sequence[tuple[FieldPath, Bind]]) -> Iterator[tuple[FieldPath, Bind]]:
    """The binds of one network and protocol that a later, wider one overlaps, the last first."""
    later: dict[int, int] = {}  # ports as bits, by the width of their range
    for place, bind in reversed(binds):
        width = bind.port_end - bind.port_start
        ports = (1 << bind.port_end + 1) - (1 << bind.port_start)
        if any(ports & taken for other, taken in later.items() if other > width):
            yield place, bind
        later[width] = later.get(width, 0) | ports
