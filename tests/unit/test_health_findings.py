# SPDX-License-Identifier: MIT
"""What taking a backend down by hand does to established connections."""

from ipaddress import IPv4Network, ip_address

import pytest

from glb.config.model import Backend, Bind, Proto, Table
from glb.table.build import build
from glb.table.builder import RowBuilder
from glb.table.findings import PlanSeverity
from glb.table.health_findings import losses_if_down

VIP = IPv4Network("203.0.113.10/32")
BINDS = (Bind(VIP, Proto.TCP, 80, 80), Bind(VIP, Proto.UDP, 53, 53))
ADDRESSES = [ip_address("10.0.0.1") + i for i in range(5)]


def losses(down: set[int], victim: int, depth: int = 3) -> dict[str, PlanSeverity]:
    backends = tuple(Backend(address, healthy=i not in down) for i, address in enumerate(ADDRESSES))
    table = build(Table("web", bytes(16), bytes(16), BINDS, backends, depth))
    found = losses_if_down((table,), "web", ADDRESSES[victim], RowBuilder())
    return {str(finding.backend): finding.severity for finding in found if finding.rows}


def test_the_first_backend_that_is_taken_down_cuts_nothing() -> None:
    assert losses(set(), 0) == {}


def test_rows_without_an_available_hop_lose_a_hop() -> None:
    found = losses({0, 1}, 2)

    assert found
    assert set(found) <= {str(address) for address in ADDRESSES[:3]}
    assert set(found.values()) <= {PlanSeverity.CUTS, PlanSeverity.MAY_CUT}


@pytest.mark.parametrize("name", ["web", "none"])
def test_a_backend_that_is_down_already_changes_nothing(name: str) -> None:
    backends = tuple(Backend(address, healthy=i > 2) for i, address in enumerate(ADDRESSES))
    table = build(Table("web", bytes(16), bytes(16), BINDS, backends, 3))

    assert losses_if_down((table,), name, ADDRESSES[0], RowBuilder()) == ()
