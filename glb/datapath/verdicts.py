# SPDX-License-Identifier: MIT
"""The names of the verdicts, read from the C headers that define them."""

import re
from dataclasses import dataclass
from functools import cache

from glb.datapath.source import source_dir

_ENTRY = re.compile(r'X\((?P<name>\w+),\s*XDP_(?P<action>\w+),\s*"(?P<meaning>[^"]*)"\)')


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict: the name of its counter, the XDP action (pass, drop, tx), and the meaning."""

    name: str
    action: str
    meaning: str


@cache
def verdicts_of(program: str) -> tuple[Verdict, ...]:
    """The verdicts of "director" or "proxy", in the order of their counters."""
    text = (source_dir() / f"{program}_verdicts.h").read_text()
    return tuple(
        Verdict(entry["name"].lower(), entry["action"].lower(), entry["meaning"]) for entry in _ENTRY.finditer(text)
    )
