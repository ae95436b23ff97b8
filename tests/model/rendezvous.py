"""Rows of a forwarding table, worked out one at a time from the JSON document of the table."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from .siphash import siphash

Backend = Mapping[str, Any]


def ranking(backends: Sequence[Backend], seed: bytes, row: int) -> list[Backend]:
    """All backends that are not inactive, in rendezvous order."""
    row_seed = siphash(seed, row.to_bytes(4, "big")).to_bytes(8, "little")

    def weight(backend: Backend) -> bytes:
        return siphash(seed, row_seed + ip_address(backend["ip"]).packed).to_bytes(8, "little")

    return sorted((backend for backend in backends if backend["state"] != "inactive"), key=weight)


def hops_of_row(table: Mapping[str, Any], row: int) -> list[Backend]:
    """The backends that a packet of this row is offered to, in this order."""
    ranked = ranking(table["backends"], bytes.fromhex(table["seed"]), row)
    depth = table.get("depth", 3)
    return github_row(ranked) if depth == 2 else deep_row(ranked, depth)


def github_row(ranked: list[Backend]) -> list[Backend]:
    """Depth 2: primary and secondary change places if the primary is not fit and the secondary is active."""
    hops = ranked[:2]
    if len(hops) == 2 and hops[1]["state"] == "active" and not is_fit_primary(hops[0]):
        hops.reverse()
    return hops


def is_fit_primary(backend: Backend) -> bool:
    return backend["state"] != "draining" and is_healthy(backend)


def deep_row(ranked: list[Backend], depth: int) -> list[Backend]:
    """Depth 3 and more: those that can take new connections first, and never without one where there is one."""
    hops = ranked[:depth]
    able = [backend for backend in hops if takes_new(backend)]
    if not able:
        able = [backend for backend in ranked if takes_new(backend)][:1]
    return (able + [backend for backend in hops if not takes_new(backend)])[:depth]


def takes_new(backend: Backend) -> bool:
    return backend["state"] in ("active", "filling") and is_healthy(backend)


def is_healthy(backend: Backend) -> bool:
    return bool(backend.get("healthy", True))
