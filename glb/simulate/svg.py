# SPDX-License-Identifier: MIT
"""The shapes of glb's pictures, as SVG."""

from collections.abc import Iterable
from html import escape

INK = "#24292f"
FAINT = "#d0d7de"


def document(width: int, height: int, shapes: Iterable[str]) -> str:
    """A complete SVG document with a white background, readable on any page."""
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">'
    ground = f'<rect width="{width}" height="{height}" fill="white"/>'
    return "\n".join([opening, ground, *shapes, "</svg>", ""])


def text(x: float, y: float, words: str, *, size: int = 13, anchor: str = "start", weight: str = "normal") -> str:
    """`anchor` is start, middle or end: the part of the text at x."""
    style = f'font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{INK}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: int = 1) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1}" x2="{x2:.1f}" y2="{y2}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A filled rectangle; empty if the width is not above 0."""
    return f'<rect x="{x}" y="{y}" width="{max(width, 0):.1f}" height="{height}" fill="{colour}"/>'
