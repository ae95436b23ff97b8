# SPDX-License-Identifier: MIT
"""The picture: one bar for each case of the datapath, by its net cost, with the spread of half of the rounds."""

from collections.abc import Iterator, Mapping

from bench.report import Result
from glb.simulate.svg import FAINT, INK, bar, document, line, text

_WIDTH = 860
_LABELS = 250
_RIGHT = 70
_ROW = 24
_TOP = 64
_BOTTOM = 34
_FLOOR = "#9aa5b1"
_DIRECTOR = "#1f6feb"
_PROXY = "#2da44e"
_TICK_NS = 50


def picture(results: Mapping[str, Result]) -> str:
    """An SVG document of its own; an empty one if the datapath was not measured."""
    cases = results.get("datapath", {}).get("cases", [])
    height = _TOP + _ROW * len(cases) + _BOTTOM
    most = max((case["net_ns"]["high_quartile"] for case in cases), default=1.0)
    bars = (shape for number, case in enumerate(cases) for shape in _bar(number, case, most))
    return document(_WIDTH, height, [*_frame(results, height, most), *bars])


def _frame(results: Mapping[str, Result], height: int, most: float) -> Iterator[str]:
    yield text(16, 26, "Nanoseconds a packet, net of the harness", size=17, weight="bold")
    machine = results.get("datapath", {}).get("machine", {})
    yield text(16, 46, ", ".join(machine.get(key, "") for key in ("cpu", "kernel", "date")), size=12)
    bottom = height - _BOTTOM
    for tick in range(0, int(most) + 1, _TICK_NS):
        x = _x(tick, most)
        yield line(x, _TOP - 6, x, bottom, FAINT)
        yield text(x, bottom + 18, f"{tick}", size=12, anchor="middle")


def _bar(number: int, case: Result, most: float) -> Iterator[str]:
    net = case["net_ns"]
    top = _TOP + _ROW * number
    middle = top + _ROW / 2 - 2
    low, median, high = (_x(net[key], most) for key in ("low_quartile", "median", "high_quartile"))
    yield text(_LABELS - 8, middle + 4, case["name"], anchor="end")
    yield bar(_LABELS, top + 2, median - _LABELS, _ROW - 8, _colour(case["name"]))
    yield line(low, middle, high, middle, INK, width=2)
    yield text(max(high, median) + 6, middle + 4, f"{net['median']:.0f}", size=12)


def _x(ns: float, most: float) -> float:
    return _LABELS + (_WIDTH - _LABELS - _RIGHT) * max(ns, 0.0) / most


def _colour(name: str) -> str:
    if name.startswith("floor"):
        return _FLOOR
    return _PROXY if name.startswith("proxy") else _DIRECTOR
