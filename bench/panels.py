# SPDX-License-Identifier: MIT
"""Panels of lines over time, as a dashboard shows them, as SVG."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glb.simulate.svg import FAINT, INK, bar, document, line, text

_WIDTH = 860
_HEIGHT = 210
_LEFT = 70
_LEGEND = 210
_TOP = 44
_BOTTOM = 26
_STEP_SECONDS = 10
_UNIT = "packets/s"
_COLOURS = ("#1f6feb", "#2da44e", "#d29922", "#cf222e", "#8250df", "#57606a")


@dataclass(frozen=True, slots=True)
class Series:
    """One line: points of seconds since the begin and packets a second."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was done, at a time in seconds since the begin."""

    seconds: float
    what: str


@dataclass(frozen=True, slots=True)
class _Scale:
    """From what is shown to places on the picture."""

    top: float
    seconds: float
    most: float

    @property
    def bottom(self) -> float:
        return self.top + _HEIGHT - _BOTTOM

    def x(self, seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _LEGEND) * seconds / self.seconds

    def y(self, value: float) -> float:
        return self.bottom - (_HEIGHT - _TOP - _BOTTOM) * value / self.most


def picture(panels: Sequence[Panel], marks: Sequence[Mark]) -> str:
    """An SVG document: the panels below each other, over the same time."""
    seconds = max(t for panel in panels for series in panel.series for t, _ in series.points)
    shapes: list[str] = []
    for number, panel in enumerate(panels):
        most = max((value for series in panel.series for _, value in series.points), default=0)
        shapes += _panel(panel, marks, _Scale(number * _HEIGHT, seconds, _round_up(most)))
    return document(_WIDTH, _HEIGHT * len(panels), shapes)


def _panel(panel: Panel, marks: Sequence[Mark], scale: _Scale) -> Iterator[str]:
    yield text(16, scale.top + 22, f"{panel.title} ({_UNIT})", size=15, weight="bold")
    yield from _axes(scale)
    for mark in marks:
        x = scale.x(mark.seconds)
        yield line(x, scale.top + _TOP - 16, x, scale.bottom, INK)
        yield text(x + 4, scale.top + _TOP - 6, mark.what, size=11)
    for number, series in enumerate(panel.series):
        yield from _line(series, _COLOURS[number % len(_COLOURS)], scale, scale.top + _TOP + 18 * number)


def _round_up(value: float) -> float:
    """The next number whose half has two digits and zeros: an end for the scale."""
    step = 2 * 10.0 ** (math.floor(math.log10(max(value, 1))) - 1)
    return math.ceil(max(value, 1) / step) * step


def _axes(scale: _Scale) -> Iterator[str]:
    for share in (0, 0.5, 1):
        y = scale.y(share * scale.most)
        yield line(_LEFT, y, scale.x(scale.seconds), y, FAINT)
        yield text(_LEFT - 6, y + 4, f"{share * scale.most:,.0f}", size=11, anchor="end")
    for seconds in range(0, int(scale.seconds) + 1, _STEP_SECONDS):
        yield text(scale.x(seconds), scale.bottom + 16, f"{seconds} s", size=11, anchor="middle")


def _line(series: Series, colour: str, scale: _Scale, legend: float) -> Iterator[str]:
    points = " ".join(f"{scale.x(seconds):.1f},{scale.y(value):.1f}" for seconds, value in series.points)
    yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
    yield bar(_WIDTH - _LEGEND + 12, legend, 10, 10, colour)
    yield text(_WIDTH - _LEGEND + 28, legend + 9, series.name, size=11)
