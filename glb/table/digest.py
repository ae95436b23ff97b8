# SPDX-License-Identifier: MIT
"""The digest of forwarding tables: equal for all files with the same tables.

It is a SHA-256 of a canonical form, so spaces, the order of keys, and defaults that are written out do not change it.
`healthy` is left out: it may differ between hosts, and checks replace it. The order of tables counts, since of equal
binds the last in the file applies; the order of binds and backends in a table does not.

A GLBD binary has neither names, seeds, weights, zones nor checks, but has rows. Its digest is
computed from its content, and never equals that of a source.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from hashlib import sha256
from typing import Any

from glb.config.health import HealthCheckPolicy, HealthChecks
from glb.config.model import Backend, ForwardingTables, Table
from glb.config.parse import GLBD_MAGIC, decode_text, parse_tables
from glb.table import glbd
from glb.table.model import BuiltTable


def digest_of(data: bytes, name: str) -> str:
    """The digest of the tables in a file's content, either kind; `name` is the file's, for the messages.

    Raises ConfigError or TableError.
    """
    if data.startswith(GLBD_MAGIC):
        return digest_of_binary(glbd.decode(data, name))
    return digest_of_source(parse_tables(decode_text(data, name), name))


def digest_of_source(tables: ForwardingTables) -> str:
    """The digest of a JSON source's tables, as hex digits."""
    return _digest([_source_table(table) for table in tables.tables])


def digest_of_binary(tables: Sequence[BuiltTable]) -> str:
    """The digest of a GLBD binary's tables, as hex digits."""
    return _digest([_binary_table(table) for table in tables])


def _digest(tables: list[dict[str, Any]]) -> str:
    return sha256(json.dumps(tables, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _source_table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "hash_key": table.hash_key.hex(),
        "seed": table.seed.hex(),
        "depth": table.depth,
        "hold_share": table.hold_share,
        "binds": sorted(map(str, table.binds)),
        "backends": sorted(map(_source_backend, table.backends)),
    }


def _source_backend(backend: Backend) -> list[str]:
    checks, policy = _checking(backend.healthchecks, backend.policy)
    return [str(backend.address), backend.state, repr(backend.weight), json.dumps(backend.zone), checks, policy]


@lru_cache(maxsize=1024)
def _checking(checks: HealthChecks, policy: HealthCheckPolicy) -> tuple[str, str]:
    """Cached, since most backends have the same checks."""
    return json.dumps(asdict(checks), sort_keys=True), json.dumps(asdict(policy), sort_keys=True)


def _binary_table(table: BuiltTable) -> dict[str, Any]:
    """Rows refer to backends by position, so the order of the backends counts."""
    return {
        "hash_key": table.hash_key.hex(),
        "binds": sorted(map(str, table.binds)),
        "backends": [[str(backend.address), backend.state] for backend in table.backends],
        "rows": sha256(table.rows.astype("<u2").tobytes()).hexdigest(),
    }
