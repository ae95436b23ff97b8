# SPDX-License-Identifier: MIT
"""How fast counters grow, and their past as bars."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from glb.daemon.process import ProcessId
from glb.daemon.report import Report
from glb.metrics.rates import SPARKLINE_VALUES, Rate, rates, sparkline
from glb.metrics.sample import Sample

BIND, BACKEND = ("bind", "web", "203.0.113.10:80/tcp"), ("backend", "web", "10.0.0.1")
ONE = Sample(
    Report(role="director", interface="eth0", process=ProcessId.own(), started=""),
    attached=True,
    packets={"encapsulated": 100, "drop_bad_ip": 7},
    traffic={BIND: (100, 10_000), BACKEND: (100, 10_000)},
)
OTHER = replace(ONE, report=replace(ONE.report, interface="eth1"))


def test_rates_are_summed_over_interfaces() -> None:
    later = replace(ONE, packets={"encapsulated": 300, "drop_bad_ip": 7}, traffic={BIND: (300, 30_000)})

    found = rates([ONE, OTHER], [later, replace(later, report=OTHER.report)], seconds=2)

    assert found.verdicts == {("director", "encapsulated"): Rate(200), ("director", "drop_bad_ip"): Rate(0)}
    assert found.binds == {BIND[1:]: Rate(200, 160_000)}


def test_forwards_are_counted_by_next_hop_from_the_first_packet() -> None:
    """A hop that no packet was sent on to yet has no counter."""
    hop = IPv4Address("10.0.0.9")
    proxy = Sample(replace(ONE.report, role="proxy"), attached=True)

    assert rates([proxy], [replace(proxy, forwards={hop: 30})], seconds=2).forwards == {("10.0.0.9",): Rate(15)}
    assert rates([], [replace(proxy, forwards={hop: 30})], seconds=2).forwards == {("10.0.0.9",): Rate(0)}


def test_a_counter_that_began_anew_grows_from_zero() -> None:
    fresh = replace(ONE, packets={"encapsulated": 5, "drop_bad_ip": 0}, traffic={BACKEND: (5, 500)})

    found = rates([ONE], [fresh], seconds=1)

    assert found.verdicts["director", "encapsulated"] == Rate(5)
    assert found.backends == {BACKEND[1:]: Rate(5, 4000)}


def test_a_new_counter_has_rate_zero() -> None:
    assert rates([], [ONE], seconds=1).backends == {BACKEND[1:]: Rate(0, 0)}


@pytest.mark.parametrize(
    ("values", "highest", "line"),
    [
        ([], 0, ""),
        ([0, 0], 0, "▁▁"),
        ([0, 4, 8], 8, "▁▅█"),
        ([0, 4, 8], 16, "▁▃▅"),
        (list(range(99)), 98, sparkline(list(range(69, 99)), 98)),
    ],
)
def test_a_sparkline_goes_from_zero_to_the_highest_of_its_column(
    values: list[float], highest: float, line: str
) -> None:
    assert sparkline(values, highest) == line
    assert len(line) <= SPARKLINE_VALUES
