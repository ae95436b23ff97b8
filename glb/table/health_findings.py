# SPDX-License-Identifier: MIT
"""Established connections when a backend is taken down by hand: rows may lose a hop to a backend from outside."""

from collections.abc import Sequence
from dataclasses import replace

from glb.config.model import Address
from glb.table.builder import RowBuilder
from glb.table.findings import PlanFinding, PlanSeverity, find
from glb.table.model import BuiltTable


def losses_if_down(
    tables: Sequence[BuiltTable], name: str, address: Address, builder: RowBuilder
) -> tuple[PlanFinding, ...]:
    """The findings by which connections are lost, or may be, if one backend of a table gets unhealthy.

    name: the table's. Empty for a table from a binary, whose rows do not follow health, and for one that is not there.
    """
    table = next((table for table in tables if table.name == name), None)
    if table is None or table.seed is None:
        return ()
    backends = [replace(each, healthy=each.healthy and each.address != address) for each in table.backends]
    after = replace(table, backends=tuple(backends), rows=builder.rows(backends, table.seed, table.depth))
    return tuple(finding for finding in find((table,), (after,)) if finding.severity is not PlanSeverity.NOTE)
