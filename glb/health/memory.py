# SPDX-License-Identifier: MIT
"""The file in which health outlives the daemon. It is no more than a hint: a bad one is told of, and left aside."""

import json
import logging
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from glb.config.atomic import replace_file
from glb.errors import HealthError
from glb.health.damping import Damped
from glb.health.hold import Hold
from glb.health.judge import Order
from glb.health.ledger import HealthChange, Key, Memory
from glb.health.verdict import ProbeHealth
from glb.health.view import BackendHealth, Source

log = logging.getLogger(__name__)

_VERSION = 1


def load(path: Path) -> Memory:
    """What a daemon has left; an empty memory if it has left nothing that can be read."""
    try:
        return decode(path.read_text())
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("%s: left aside, all health is found out anew: %s", path, error)
        return Memory()


def save(path: Path, memory: Memory) -> None:
    """Replace the file. Raises HealthError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, encode(memory).encode())
    except OSError as error:
        raise HealthError(f"{path}: health cannot be kept over a restart: {error.strerror}") from error


def encode(memory: Memory) -> str:
    document = {
        "version": _VERSION,
        "checks": [
            {"check": key, "up": health.damped.up, "found": health.found, "fell": health.fell}
            for key, health in memory.checks.items()
        ],
        "backends": [
            {
                **_key(key),
                "health": _fields(memory.backends.get(key)),
                "order": _fields(memory.orders.get(key)),
                "history": [asdict(change) for change in memory.history.get(key, ())],
            }
            for key in sorted(memory.backends.keys() | memory.orders.keys() | memory.history.keys(), key=str)
        ],
        "holds": [
            {"table": table, "since": hold.since, "up": sorted(map(str, hold.up))}
            for table, hold in memory.holds.items()
        ],
    }
    return json.dumps(document) + "\n"


def decode(text: str) -> Memory:
    """Raises ValueError, TypeError, KeyError or AttributeError for anything else than what `encode` has written."""
    document = json.loads(text)
    if document["version"] != _VERSION:
        raise ValueError(f"version {document['version']}, not {_VERSION}")
    entries = {_key_of(entry): entry for entry in document["backends"]}
    return Memory(
        checks={entry["check"]: _probe_health(entry) for entry in document["checks"]},
        backends={key: _health(entry["health"]) for key, entry in entries.items() if entry["health"]},
        history={key: tuple(_change(change) for change in entry["history"]) for key, entry in entries.items()},
        orders={key: Order(**entry["order"]) for key, entry in entries.items() if entry["order"]},
        holds={
            entry["table"]: Hold(float(entry["since"]), frozenset(map(ip_address, entry["up"])))
            for entry in document["holds"]
        },
    )


def _fields(value: BackendHealth | Order | None) -> dict[str, Any] | None:
    return None if value is None else asdict(value)


def _key(key: Key) -> dict[str, str]:
    return {"table": key[0], "address": str(key[1])}


def _key_of(entry: dict[str, Any]) -> Key:
    return entry["table"], ip_address(entry["address"])


def _probe_health(entry: dict[str, Any]) -> ProbeHealth:
    return ProbeHealth(Damped(bool(entry["up"])), str(entry["found"]), entry["fell"])


def _health(entry: dict[str, Any]) -> BackendHealth:
    return BackendHealth(**{**entry, "source": Source(entry["source"])})


def _change(entry: dict[str, Any]) -> HealthChange:
    return HealthChange(**{**entry, "source": Source(entry["source"])})
