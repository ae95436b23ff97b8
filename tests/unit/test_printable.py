# SPDX-License-Identifier: MIT
"""Control characters in foreign text neither reach a terminal nor begin lines."""

import io
import json
from dataclasses import replace

import pytest
from rich.text import Text

from glb.capture.event import Event, to_line
from glb.ctl import history
from glb.ctl.output import SafeConsole, grid
from glb.ctl.watch import paragraph
from glb.history.version import LoadCause, Version

ESCAPES = ("\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x1b[1A\r", "\u202e")
FORGED = "none\n00:00:00.000000 proxy1 eth0  forged"
VISIT = Event("here", 0.0, "eth0", "proxy", "PASS", "pass", 60, "passed", None, None, None)


def shown(*renderables: object, terminal: bool = True) -> str:
    out = io.StringIO()
    console = SafeConsole(file=out, force_terminal=terminal, width=200, highlight=False, markup=False, no_color=True)
    for renderable in renderables:
        console.print(renderable)
    return out.getvalue()


@pytest.mark.parametrize("text", ESCAPES)
def test_control_characters_are_escaped(text: str) -> None:
    table = grid("name")
    table.add_row(f"a{text}b")

    for renderable in (f"a{text}b", Text(f"a{text}b"), table, Text.assemble(("a", "bold"), f"{text}b")):
        out = shown(renderable, terminal=False)
        assert not set(out) & set("\x1b\x9b\x07\r\u202e"), repr(out)
        assert "a" in out
        assert "b" in out


def test_a_consoles_own_styles_and_lines_stay() -> None:
    out = io.StringIO()
    SafeConsole(file=out, force_terminal=True, color_system="standard").print(Text("one\n\ttwo", "red"))

    assert "\x1b[31m" in out.getvalue()
    assert "\\n" not in out.getvalue()


@pytest.mark.parametrize("field", ["host", "interface", "decision"])
def test_another_hosts_event_cannot_forge_lines_of_a_trace(field: str) -> None:
    visit = replace(VISIT, **{field: FORGED})

    assert all("\n" not in line.plain for line in paragraph(visit, with_host=True))


def test_an_event_in_json_has_no_raw_control_characters() -> None:
    line = to_line(replace(VISIT, decision="\x9b31m\x1b\n"))

    assert line.isascii()
    assert json.loads(line)["decision"] == "\x9b31m\x1b\n"


def test_a_note_cannot_forge_versions_of_the_history() -> None:
    version = Version(1, "2026-01-01T00:00:00+00:00", LoadCause.APPLY, "eve", FORGED, "0" * 64)

    assert len(shown(history._render([version])).rstrip().splitlines()) == 2
