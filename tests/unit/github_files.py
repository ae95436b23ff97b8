# SPDX-License-Identifier: MIT
"""Table files that glb-director reads, one for each property that its files may have."""

from typing import Any

SEED = "34567890123456783456789012345678"


def _table(**keys: Any) -> dict[str, Any]:
    """A table as glb-director's health checker writes it: always with `healthchecks`, never with a name."""
    return {
        "hash_key": "12345678901234561234567890123456",
        "seed": SEED,
        "binds": [{"ip": "198.51.100.1", "proto": "tcp", "port": 80}],
        "backends": [
            {"ip": "10.0.0.1", "state": "active", "healthy": True, "healthchecks": None},
            {"ip": "10.0.0.2", "state": "draining", "healthy": True, "healthchecks": None},
            {"ip": "10.0.0.3", "state": "active", "healthy": False, "healthchecks": None},
        ],
    } | keys


def _bind(ip: str, **keys: Any) -> list[dict[str, Any]]:
    return [{"ip": ip, "proto": "tcp", **keys}]


FILES: dict[str, dict[str, Any]] = {
    "health checks that are null": {"tables": [_table()]},
    "empty names": {"tables": [_table(name=""), _table(name="", binds=_bind("198.51.100.2", port=80))]},
    "unknown keys": {"tables": [_table(owner="web", binds=_bind("198.51.100.2", port=80, note="old"))], "version": 7},
    "host bits": {"tables": [_table(binds=_bind("198.51.100.7/24", port=443) + _bind("2001:db8::7/64", port=443))]},
    "ports from 0": {"tables": [_table(binds=_bind("198.51.100.1", port_start=0, port_end=1023))]},
    "port 0": {"tables": [_table(binds=_bind("198.51.100.1", port=0))]},
    "nulls": {"tables": [_table(name=None, healthchecks=None)], "healthchecks": None},
    "a bind of two tables": {"tables": [_table(), _table(seed="12345678901234561234567890123456")]},
    "a bind twice in a table": {"tables": [_table(binds=2 * _bind("198.51.100.1", port=80))]},
}
