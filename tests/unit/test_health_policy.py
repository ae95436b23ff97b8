# SPDX-License-Identifier: MIT
"""Health checks in the forwarding table's source: three levels, of which the narrowest that says something counts."""

import json
from ipaddress import ip_address
from typing import Any

import pytest

from glb.config.health import HealthCheckPolicy, Initial
from glb.config.model import Table
from glb.config.parse import parse_tables
from tests.unit import sources


def table(file: dict[str, Any], table: dict[str, Any], backend: dict[str, Any]) -> Table:
    """The first table of a source with these keys in `healthchecks` of the file, the table and its first backend."""
    source = sources.put(sources.tables(), "healthchecks", file)
    source = sources.put(source, "tables.0.healthchecks", table)
    source = sources.put(source, "tables.0.backends.0.healthchecks", {"http": 80, **backend})
    return parse_tables(json.dumps(source), "ft.json").tables[0]


def policy(*levels: dict[str, Any]) -> HealthCheckPolicy:
    return table(*levels).backends[0].policy


def test_by_default_a_dead_backend_falls_within_two_seconds() -> None:
    found = policy({}, {}, {})

    assert (found.interval_ms, found.timeout_ms, found.rise, found.fall) == (400, 400, 3, 3)
    assert (found.jitter, found.slow_interval_ms, found.initial) == (0.1, 5000, Initial.DOWN)
    assert found.seconds_to_fall < 2


def test_at_60_60_3_a_dead_backend_falls_within_300_ms() -> None:
    assert policy({"interval_ms": 60, "timeout_ms": 60, "trigger": 3}, {}, {}).seconds_to_fall < 0.3


def test_each_level_overrides_the_one_above_key_by_key() -> None:
    found = policy(
        {"interval_ms": 1000, "timeout_ms": 700, "jitter": 0},
        {"interval_ms": 500, "initial": "up"},
        {"timeout_ms": 50, "slow_interval_ms": 9000},
    )

    assert found == HealthCheckPolicy(500, 50, 3, 3, 0.0, 9000, Initial.UP)


@pytest.mark.parametrize(
    ("file", "table", "backend", "rise", "fall"),
    [
        ({"trigger": 5}, {}, {}, 5, 5),
        ({"trigger": 5, "fall": 2}, {}, {}, 5, 2),
        ({"rise": 7, "fall": 8}, {"trigger": 2}, {}, 2, 2),
        ({"trigger": 5}, {"rise": 1}, {"fall": 4}, 1, 4),
    ],
    ids=["both", "a count beside it is more exact", "a narrower level counts", "from three levels"],
)
def test_githubs_trigger_sets_both_counts(
    file: dict[str, Any], table: dict[str, Any], backend: dict[str, Any], rise: int, fall: int
) -> None:
    found = policy(file, table, backend)

    assert (found.rise, found.fall) == (rise, fall)


def test_hold_share_of_the_table_precedes_that_of_the_file() -> None:
    assert table({}, {}, {}).hold_share == 0.75
    assert table({"hold_share": 0.5}, {}, {}).hold_share == 0.5
    assert table({"hold_share": 0.5}, {"hold_share": 1}, {}).hold_share == 1


def test_status_codes_are_single_ones_and_ranges() -> None:
    checks = table({}, {}, {"http_status": [204, "300-399"]}).backends[0].healthchecks

    assert checks.http_status == ((204, 204), (300, 399))


def test_a_vip_check_uses_the_first_bind_of_one_address_and_port() -> None:
    found = table({}, {}, {"vip_tcp": 80})

    assert found.backends[0].healthchecks.vip_tcp == 80
    assert found.vip(80) == ip_address("198.51.100.1")
    assert found.vip(8000) is None
