# SPDX-License-Identifier: MIT
"""A drain that is waited for ends when somebody else changes the backend's table."""

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
    ("change", "told"),
    [
        (lambda web: web["backends"][0].update(state="active"), ("web: {} is active",)),
        (lambda web: web["backends"].pop(0), ("web: {} is not listed any more",)),
        (lambda web: web.update(name="www"), ("table web is not there any more",)),
        (lambda web: web["backends"][1].update(weight=2), ()),
    ],
    ids=["put back", "removed", "table renamed", "another backend"],
)
def test_what_becomes_of_a_draining_backend_is_told(
    table: Path, change: Callable[[Raw], object], told: tuple[str, ...]
) -> None:
    address = backend_of(table)
    standing = StillDraining(table, address, ["web"])
    assert standing.moves() == ()

    revise(table, change)

    assert standing.moves() == tuple(line.format(address) for line in told)


def test_a_file_that_is_bad_for_a_while_says_nothing(table: Path) -> None:
    standing = StillDraining(table, backend_of(table), ["web"])

    table.with_suffix(".new").write_text("{")
    table.with_suffix(".new").rename(table)
    assert standing.moves() == ()
    table.unlink()
    assert standing.moves() == ()
