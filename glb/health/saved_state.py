# SPDX-License-Identifier: MIT
"""The file that keeps health across restarts. A file that cannot be read is logged and ignored."""

import json
import logging
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from glb.errors import HealthError
from glb.files import replace_file
from glb.health.check_state import CheckHealth, CheckState
from glb.health.judge import Hold, Override
from glb.health.state import BackendKey, HealthChange, SavedState
from glb.health.view import BackendHealth, HealthSource

log = logging.getLogger(__name__)

_VERSION = 1


def load(path: Path) -> SavedState:
    """The state that an earlier daemon saved; an empty one if there is no file, or none that can be read."""
    try:
        return decode(path.read_text())
    except FileNotFoundError:
        return SavedState()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("%s: ignored, all backends are checked anew: %s", path, error)
        return SavedState()


def save(path: Path, saved: SavedState) -> None:
    """Replace the file. Raises HealthError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, encode(saved).encode())
    except OSError as error:
        raise HealthError(f"{path}: health cannot be kept across a restart: {error.strerror}") from error


def encode(saved: SavedState) -> str:
    document = {
        "version": _VERSION,
        "checks": [_check_fields(key, health) for key, health in saved.checks.items()],
        "backends": [
            {
                **_key(key),
                "health": _fields(saved.backends.get(key)),
                "order": _fields(saved.overrides.get(key)),
                "history": [asdict(change) for change in saved.history.get(key, ())],
            }
            for key in sorted(saved.backends.keys() | saved.overrides.keys() | saved.history.keys(), key=str)
        ],
        "holds": [
            {"table": table, "since": hold.since, "up": sorted(map(str, hold.up))}
            for table, hold in saved.holds.items()
        ],
    }
    return json.dumps(document) + "\n"


def decode(text: str) -> SavedState:
    """Raises ValueError, TypeError, KeyError or AttributeError for any text that `encode` did not write."""
    document = json.loads(text)
    if document["version"] != _VERSION:
        raise ValueError(f"version {document['version']}, not {_VERSION}")
    entries = {_key_of(entry): entry for entry in document["backends"]}
    return SavedState(
        checks={entry["check"]: _check_health(entry) for entry in document["checks"]},
        backends={key: _health(entry["health"]) for key, entry in entries.items() if entry["health"]},
        history={key: tuple(_change(change) for change in entry["history"]) for key, entry in entries.items()},
        overrides={key: Override(**entry["order"]) for key, entry in entries.items() if entry["order"]},
        holds={
            entry["table"]: Hold(float(entry["since"]), frozenset(map(ip_address, entry["up"])))
            for entry in document["holds"]
        },
    )


def _fields(value: BackendHealth | Override | None) -> dict[str, Any] | None:
    return None if value is None else asdict(value)


def _key(key: BackendKey) -> dict[str, str]:
    return {"table": key[0], "address": str(key[1])}


def _key_of(entry: dict[str, Any]) -> BackendKey:
    return entry["table"], ip_address(entry["address"])


def _check_fields(key: str, health: CheckHealth) -> dict[str, Any]:
    passes = 0 if health.state.up else health.state.against
    return {"check": key, "up": health.state.up, "passes": passes, "found": health.found, "fell": health.fell}


def _check_health(entry: dict[str, Any]) -> CheckHealth:
    passes = int(entry.get("passes", 0))  # files of earlier versions lack it
    return CheckHealth(CheckState(bool(entry["up"]), against=passes), str(entry["found"]), entry["fell"])


def _health(entry: dict[str, Any]) -> BackendHealth:
    return BackendHealth(**{**entry, "source": HealthSource(entry["source"])})


def _change(entry: dict[str, Any]) -> HealthChange:
    return HealthChange(**{**entry, "source": HealthSource(entry["source"])})
