# SPDX-License-Identifier: MIT
"""The parts of the bench that measure nothing: what it makes of figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import page, report, samples, svg

SPREAD = {"median": 80.0, "min": 70.0, "max": 130.0, "low_quartile": 79.0, "high_quartile": 82.0}


def document(met: bool = True) -> Mapping[str, Any]:
    case = {"name": "TCP <IPv4>", "ns": SPREAD, "net_ns": SPREAD, "times_floor_b": 3.2}
    bar = {"what": "TCP", "value": 3.2, "limit": 3.5, "met": met}
    machine = {"date": "2026-11-25", "cpu": "2 x CPU", "kernel": "6.1"}
    return {"datapath": {"machine": machine, "rounds": 3, "cases": [case], "harness_ns": {}, "bars": [bar]}}


def test_each_measure_is_taken_once_a_round_and_listed_by_round() -> None:
    taken: list[str] = []

    def measure(name: str) -> float:
        taken.append(name)
        return float(len(taken))

    values = samples.in_rounds({name: lambda name=name: measure(name) for name in "abc"}, 4)  # type: ignore[misc]
    rounds = [taken[start : start + 3] for start in range(0, 12, 3)]
    assert [sorted(names) for names in rounds] == [["a", "b", "c"]] * 4
    assert len({tuple(names) for names in rounds}) > 1
    assert values["a"] == [start + names.index("a") + 1 for start, names in zip(range(0, 12, 3), rounds, strict=True)]


def test_a_slow_round_changes_no_ratio() -> None:
    assert samples.ratio([20, 60, 20], [10, 30, 10]) == 2
    assert samples.differences([20, 60], [10, 30]) == [10, 30]
    assert samples.spread([3, 1, 2, 100]).median == 2.5
    assert samples.spread([7]).high_quartile == 7


def test_missed_bar_is_reported() -> None:
    assert report.bars_met(document())
    assert not report.bars_met(document(met=False))
    assert "MISSED" in str(report.tables(document(met=False)))


def test_the_picture_is_an_svg_with_each_case() -> None:
    root = ElementTree.fromstring(svg.picture(document()))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "TCP <IPv4>" in [element.text for element in root]
    assert ElementTree.fromstring(svg.picture({})) is not None


def test_results_take_the_place_of_older_ones_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.PAGE.read_text()
    for name in ("PAGE", "PICTURE", "FIGURES"):
        monkeypatch.setattr(page, name, tmp_path / name)
    page.PAGE.write_text(text)
    page.write(document())
    page.write(document(met=False))
    begin, end = text.index(page._BEGIN), text.index(page._END)
    written = page.PAGE.read_text()
    assert written.startswith(text[:begin])
    assert written.endswith(text[end:])
    assert written.count("| TCP <IPv4> |") == 1
    assert "MISSED" in written
    assert '"met": false' in page.FIGURES.read_text()
