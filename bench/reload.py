# SPDX-License-Identifier: MIT
"""One backend's change of state, from the changed file to the switched table in the kernel, as a director does it."""

import json
import tempfile
import time
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import Any

from bench import directors
from bench.progress import Progress
from bench.samples import spread
from glb.datapath.director import DirectorDatapath
from glb.director.sources import Sources, read
from glb.table.builder import RowBuilder

_BACKENDS = 256
_BAR_MS = 30.0
_TOTAL = "in all"
_STATES = ("draining", "active")

Steps = dict[str, float]


def run(rounds: int, progress: Progress) -> dict[str, Any]:
    """Times are in milliseconds by the clock, since the director waits for the kernel too."""
    progress(f"reload: {rounds} changes of one backend among {_BACKENDS}")
    with tempfile.TemporaryDirectory(prefix="glb-bench-") as folder:
        taken = _changes(directors.files(Path(folder), _tables("active")), rounds)
    by_step = {step: spread([steps[step] for steps in taken]).as_dict() for step in taken[0]}
    value = by_step[_TOTAL]["median"]
    bar = {
        "what": f"one backend's change among {_BACKENDS}, ms",
        "value": value,
        "limit": _BAR_MS,
        "met": value <= _BAR_MS,
    }
    return {"rounds": rounds, "ms": by_step, "bars": [bar]}


def _changes(sources: Sources, rounds: int) -> list[Steps]:
    builder = RowBuilder()
    loaded = read(sources, builder)
    with closing(DirectorDatapath.load(loaded.layout)) as datapath:
        directors.write(datapath, loaded)
        states = cycle(_STATES)
        return [_change(datapath, sources, builder, next(states)) for _ in range(rounds)]


def _change(datapath: DirectorDatapath, sources: Sources, builder: RowBuilder, state: str) -> Steps:
    sources.table.write_text(json.dumps({"tables": _tables(state)}))
    begun = time.perf_counter()
    loaded = read(sources, builder)
    built = time.perf_counter()
    directors.write(datapath, loaded)
    ended = time.perf_counter()
    return {
        "files read, rows built": 1e3 * (built - begun),
        "written, switched, old one out of use": 1e3 * (ended - built),
        _TOTAL: 1e3 * (ended - begun),
    }


def _tables(state: str) -> directors.Tables:
    """One table, whose first backend is in the state."""
    table = directors.table(0, directors.exact(), backends=_BACKENDS)
    table["backends"][0]["state"] = state
    return [table]
