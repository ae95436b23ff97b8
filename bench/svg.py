"""The picture: one bar for each case of the datapath, by its net cost, with the spread of half of the rounds."""

from collections.abc import Iterator, Mapping
from html import escape

from bench.report import Result

_WIDTH = 860
_LABELS = 250
_RIGHT = 70
_ROW = 24
_TOP = 64
_BOTTOM = 34
_FLOOR = "#9aa5b1"
_DIRECTOR = "#1f6feb"
_PROXY = "#2da44e"
_INK = "#24292f"
_FAINT = "#d0d7de"
_TICK_NS = 50


def picture(document: Mapping[str, Result]) -> str:
    """An SVG document of its own; an empty one if the datapath was not measured."""
    cases = document.get("datapath", {}).get("cases", [])
    height = _TOP + _ROW * len(cases) + _BOTTOM
    most = max((case["net_ns"]["high_quartile"] for case in cases), default=1.0)
    drawn = [*_frame(document, height, most), *(line for n, case in enumerate(cases) for line in _bar(n, case, most))]
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">'
    return "\n".join([opening, *drawn, "</svg>", ""])


def _frame(document: Mapping[str, Result], height: int, most: float) -> Iterator[str]:
    yield f'<rect width="{_WIDTH}" height="{height}" fill="white"/>'
    yield _text(16, 26, "Nanoseconds a packet, net of the harness", size=17, weight="bold")
    machine = document.get("datapath", {}).get("machine", {})
    yield _text(16, 46, ", ".join(machine.get(key, "") for key in ("cpu", "kernel", "date")), size=12)
    bottom = height - _BOTTOM
    for tick in range(0, int(most) + 1, _TICK_NS):
        x = _x(tick, most)
        yield f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}" stroke="{_FAINT}"/>'
        yield _text(x, bottom + 18, f"{tick}", size=12, anchor="middle")


def _bar(number: int, case: Result, most: float) -> Iterator[str]:
    net = case["net_ns"]
    top = _TOP + _ROW * number
    middle = top + _ROW / 2 - 2
    low, median, high = (_x(net[key], most) for key in ("low_quartile", "median", "high_quartile"))
    yield _text(_LABELS - 8, middle + 4, case["name"], anchor="end")
    yield (
        f'<rect x="{_LABELS}" y="{top + 2}" width="{max(median - _LABELS, 0):.1f}" height="{_ROW - 8}" '
        f'fill="{_colour(case["name"])}"/>'
    )
    yield f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}" stroke="{_INK}" stroke-width="2"/>'
    yield _text(max(high, median) + 6, middle + 4, f"{net['median']:.0f}", size=12)


def _x(ns: float, most: float) -> float:
    return _LABELS + (_WIDTH - _LABELS - _RIGHT) * max(ns, 0.0) / most


def _colour(name: str) -> str:
    if name.startswith("floor"):
        return _FLOOR
    return _PROXY if name.startswith("proxy") else _DIRECTOR


def _text(x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", weight: str = "normal") -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{_INK}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
