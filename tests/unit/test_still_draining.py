# SPDX-License-Identifier: MIT
"""A wait for a drain ends when another user changes the backend."""

import json
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from glb.drain.wait import StillDraining
from tests.unit import sources

Raw = dict[str, Any]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """With the table "web", whose first backend drains."""
    path = tmp_path / "ft.json"
    raw = sources.tables()
    raw["tables"][0]["name"] = "web"
    raw["tables"][0]["backends"][0]["state"] = "draining"
    path.write_text(json.dumps(raw))
    return path


def backend_of(path: Path) -> IPv4Address:
    return IPv4Address(json.loads(path.read_text())["tables"][0]["backends"][0]["ip"])


def revise(path: Path, change: Callable[[Raw], object]) -> None:
    raw = json.loads(path.read_text())
    change(raw["tables"][0])
    path.with_suffix(".new").write_text(json.dumps(raw))
    path.with_suffix(".new").rename(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda web: web["backends"][0].update(state="active"), ("web: {} is active",)),
        (lambda web: web["backends"].pop(0), ("web: {} is not in the table any more",)),
        (lambda web: web.update(name="www"), ("table web does not exist any more",)),
        (lambda web: web["backends"][1].update(weight=2), ()),
    ],
    ids=["put back", "removed", "table renamed", "another backend"],
)
def test_changes_of_a_draining_backend_are_reported(
    table: Path, change: Callable[[Raw], object], expected: tuple[str, ...]
) -> None:
    address = backend_of(table)
    watched = StillDraining(table, address, ["web"])
    assert watched.changes() == ()

    revise(table, change)

    assert watched.changes() == tuple(line.format(address) for line in expected)


def test_an_invalid_file_reports_no_change(table: Path) -> None:
    watched = StillDraining(table, backend_of(table), ["web"])

    table.with_suffix(".new").write_text("{")
    table.with_suffix(".new").rename(table)
    assert watched.changes() == ()
    table.unlink()
    assert watched.changes() == ()
