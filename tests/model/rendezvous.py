# SPDX-License-Identifier: MIT
"""Rows of a forwarding table, worked out one at a time from the JSON document of the table.

By docs/configuration.md; a weighted rank is -ln(1 - hash / 2^64) / weight, the smallest first.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from math import log1p
from typing import Any

from .siphash import siphash

Backend = Mapping[str, Any]


def ranking(backends: Sequence[Backend], seed: bytes, row: int) -> list[Backend]:
    """All backends that are not inactive, in rendezvous order; those of more weight come earlier, more often."""
    row_seed = siphash(seed, row.to_bytes(4, "big")).to_bytes(8, "little")

    def score(backend: Backend) -> tuple[float, bytes]:
        drawn = siphash(seed, row_seed + ip_address(backend["ip"]).packed).to_bytes(8, "little")
        share = int.from_bytes(drawn, "big") / 2**64
        return (-log1p(-share) / backend.get("weight", 1) if weighted else 0.0), drawn

    weighted = len({backend.get("weight", 1) for backend in backends}) > 1
    return sorted((backend for backend in backends if backend["state"] != "inactive"), key=score)


def hops_of_row(table: Mapping[str, Any], row: int) -> list[Backend]:
    """The backends that a packet of this row is offered to, in this order."""
    ranked = ranking(table["backends"], bytes.fromhex(table["seed"]), row)
    depth = table.get("depth", 3)
    return github_row(ranked) if depth == 2 else deep_row(ranked, depth)


def github_row(ranked: list[Backend]) -> list[Backend]:
    """Depth 2: primary and secondary change places if the primary is not fit and the secondary is active."""
    hops = of_two_zones(ranked, 2)
    if len(hops) == 2 and hops[1]["state"] == "active" and not is_fit_primary(hops[0]):
        hops.reverse()
    return hops


def is_fit_primary(backend: Backend) -> bool:
    return backend["state"] != "draining" and is_healthy(backend)


def deep_row(ranked: list[Backend], depth: int) -> list[Backend]:
    """Depth 3 and more: those that take new connections, that drain, that are unhealthy; one of the first if any."""
    hops = of_two_zones(ranked, depth)
    able = [backend for backend in ranked if takes_new(backend)]
    if able and not any(takes_new(backend) for backend in hops):
        hops = [able[0], *all_but_one(able[0], hops)]
    return second_from_elsewhere(sorted(hops, key=standing))


def all_but_one(first: Backend, hops: list[Backend]) -> list[Backend]:
    """The last of them goes; but the one before, if only the last is of another zone than the first."""
    if [hop for hop in hops if zone(hop) != zone(first)] == hops[-1:]:
        return hops[:-2] + hops[-1:]
    return hops[:-1]


def of_two_zones(ranked: list[Backend], depth: int) -> list[Backend]:
    """The best of all; the last one makes room for another zone if all are of one."""
    hops = ranked[:depth]
    others = [backend for backend in ranked if zone(backend) != zone(ranked[0])]
    if others and all(zone(backend) == zone(ranked[0]) for backend in hops):
        hops[-1] = others[0]
    return hops


def second_from_elsewhere(row: list[Backend]) -> list[Backend]:
    """The first backend of another zone than the row's first comes second, if it has the same state as the one
    there."""
    for backend in row[1:]:
        if zone(backend) != zone(row[0]) and standing(backend) == standing(row[1]):
            return [row[0], backend, *(other for other in row[1:] if other is not backend)]
    return row


def zone(backend: Backend) -> str:
    """A backend without a zone is one of its own."""
    return f"zone {backend['zone']}" if "zone" in backend else f"address {backend['ip']}"


def standing(backend: Backend) -> int:
    """0: takes new connections. 1: drains. 2: unhealthy."""
    if not is_healthy(backend):
        return 2
    return 0 if takes_new(backend) else 1


def takes_new(backend: Backend) -> bool:
    return backend["state"] in ("active", "filling") and is_healthy(backend)


def is_healthy(backend: Backend) -> bool:
    return bool(backend.get("healthy", True))
