# SPDX-License-Identifier: MIT
"""The picture of a run: a bar for each load balancer and kind of ECMP, whose length is the share of connections cut."""

from collections.abc import Iterator, Sequence

from glb.simulate.model import Ecmp, Scenario
from glb.simulate.run import RunResult
from glb.simulate.svg import FAINT, INK, bar, document, line, text

_WIDTH = 860
_LABELS = 210
_RIGHT = 80
_ROW = 22
_TOP = 84
_BOTTOM = 34
_COLOURS = {Ecmp.MODULO: "#1f6feb", Ecmp.RESILIENT: "#2da44e"}
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
"""Distances of the lines of the scale, as shares; the first that results in at most five lines is used."""


def picture(scenario: Scenario, outcomes: Sequence[RunResult], seed: int) -> str:
    """An SVG document."""
    height = _TOP + _ROW * len(outcomes) + _BOTTOM
    most = max(max(outcome.cut_share for outcome in outcomes), _STEPS[0])
    shapes = [*_frame(scenario, seed, height, most)]
    for number, outcome in enumerate(outcomes):
        shapes += _row(number, outcome, most)
    return document(_WIDTH, height, shapes)


def _frame(scenario: Scenario, seed: int, height: int, most: float) -> Iterator[str]:
    yield text(16, 26, f"{scenario.name}: share of connections cut", size=17, weight="bold")
    yield text(16, 46, scenario.description, size=12)
    yield text(16, 64, _facts(scenario, seed), size=12)
    bottom = height - _BOTTOM
    step = next((step for step in _STEPS if most / step <= 5), _STEPS[-1])
    for tick in range(int(most / step) + 1):
        x = _x(tick * step, most)
        yield line(x, _TOP - 6, x, bottom, FAINT)
        yield text(x, bottom + 18, f"{100 * tick * step:.0f} %", size=12, anchor="middle")


def _facts(scenario: Scenario, seed: int) -> str:
    lifetime = scenario.lifetime
    return (
        f"{scenario.directors} directors, {scenario.backends} backends, rows of {scenario.depth}; "
        f"{scenario.arrivals_per_s:,.0f} connections a second, {lifetime.distribution} lifetimes "
        f"of {lifetime.mean_s:g} s on average; seed {seed}"
    )


def _row(number: int, outcome: RunResult, most: float) -> Iterator[str]:
    top = _TOP + _ROW * number
    base = top + _ROW / 2 + 2
    end = _x(outcome.cut_share, most)
    yield text(_LABELS - 8, base, f"{outcome.balancer}, {outcome.ecmp}", anchor="end")
    yield line(_LABELS, top, _LABELS, top + _ROW, INK)
    yield bar(_LABELS, top + 3, end - _LABELS, _ROW - 8, _COLOURS[outcome.ecmp])
    yield text(end + 6, base, f"{100 * outcome.cut_share:.3g} %" if outcome.cut else "none", size=12)


def _x(share: float, most: float) -> float:
    return _LABELS + (_WIDTH - _LABELS - _RIGHT) * share / most
