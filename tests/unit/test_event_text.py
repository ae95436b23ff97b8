# SPDX-License-Identifier: MIT
"""How a visit's lines fit into a terminal."""

import io

from rich.console import Console
from rich.text import Text

from glb.ctl.watch import fitted

LINE = Text("    encapsulated to 10.77.0.101, then 10.77.0.102 and 10.77.0.103, tunnel port 35370")


def test_a_terminal_breaks_lines_between_words_only() -> None:
    parts = [part.plain for part in fitted(LINE, Console(file=io.StringIO(), force_terminal=True, width=40))]

    assert all(len(part) <= 40 for part in parts)
    assert parts[0].startswith("    encapsulated")
    assert all(part.startswith(" " * 8) for part in parts[1:])
    assert " ".join(" ".join(parts).split()) == LINE.plain.strip()


def test_a_pipe_gets_the_line_as_it_is() -> None:
    assert fitted(LINE, Console(file=io.StringIO(), width=40)) == [LINE]
