# SPDX-License-Identifier: MIT
"""What large tables cost: 10,000 backends in one, and many small ones.

Times are CPU time of one thread on one CPU, as in tables.py. Memory is what the kernel counts as this program's own
(RssAnon), in a process that does nothing else.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.cpus import on_one_cpu
from bench.harness import BenchError
from bench.progress import Progress
from bench.samples import spread
from bench.tables import DEPTH, SEED, bar, milliseconds, some_backends
from glb.config.model import Backend
from glb.table.builder import RowBuilder
from glb.table.row_builder import row_builder

_USUAL = 256
_BAR_BUILD_S = 20.0
_BAR_CHANGE_MS = 500.0
_BAR_USUAL_CHANGE_MS = 20.0
_BAR_TABLE_KIB = 420.0  # 4,096 of them, a builder's memory and the daemon itself in 2 GiB
_SMALL_TABLES, _SMALL_BACKENDS = 256, 8

# Prints the bytes that a table takes as a director holds it.
_SMALL = f"""
from ipaddress import IPv4Address
from pathlib import Path
from bench.tables import DEPTH
from glb.config.model import Backend, Bind, DirectorConfig, ForwardingTables, Proto, Table
from glb.datapath.layout import plan
from glb.memory import give_back
from glb.table.build import build_all
from glb.table.builder import RowBuilder
from ipaddress import IPv4Network

def own():
    give_back()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

def table(number):
    first = IPv4Address("10.0.0.1") + number * {_SMALL_BACKENDS}
    backends = tuple(Backend(first + i) for i in range({_SMALL_BACKENDS}))
    binds = (Bind(IPv4Network(IPv4Address("203.0.0.1") + number), Proto.TCP, 80, 80),)
    return Table(str(number), bytes(16), number.to_bytes(16, "big"), binds, backends, DEPTH)

builder, config = RowBuilder(memory=0), DirectorConfig(IPv4Address("10.255.255.1"))
first = build_all(ForwardingTables((table(0),)), builder)
before = own()
tables = build_all(ForwardingTables(tuple(table(1 + i) for i in range({_SMALL_TABLES}))), builder)
layout = plan(tables, config)
print((own() - before) // {_SMALL_TABLES})
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """backends: of the large table. rounds: of changes."""

    backends: int
    rounds: int


THOROUGH = Plan(backends=10_000, rounds=20)
QUICK = Plan(backends=1_000, rounds=5)


def run(chosen: Plan, progress: Progress) -> dict[str, Any]:
    """Measure everything. Raises BenchError."""
    progress(f"scale: {chosen.backends:,} backends in a table, and {_SMALL_TABLES} tables of {_SMALL_BACKENDS}")
    with on_one_cpu():
        builder = row_builder()
        usual, large = some_backends(_USUAL), some_backends(chosen.backends)
        usual_ms = milliseconds(lambda: builder.rows(usual, SEED, DEPTH))
        large_ms = milliseconds(lambda: builder.rows(large, SEED, DEPTH))
        usual_changes, large_changes = (_changes(builder, table, chosen.rounds) for table in (usual, large))
    kib = _kib_of_a_small_table()
    times = (large_ms / chosen.backends) / (usual_ms / _USUAL)
    return {
        f"full build of {chosen.backends:,} backends, CPU s": round(large_ms / 1e3, 2),
        f"time for a backend there, times that in a table of {_USUAL}": round(times, 3),
        f"one change of health among {chosen.backends:,}, ms": spread(large_changes).as_dict(),
        f"one change of health among {_USUAL}, ms": spread(usual_changes).as_dict(),
        f"memory of a table of {_SMALL_BACKENDS} backends, KiB": kib,
        "bars": [
            bar(f"full build of {chosen.backends:,} backends, CPU s", round(large_ms / 1e3, 2), _BAR_BUILD_S),
            bar(f"health among {chosen.backends:,}, slowest, ms", round(max(large_changes), 1), _BAR_CHANGE_MS),
            bar(f"health among {_USUAL}, slowest, ms", round(max(usual_changes), 1), _BAR_USUAL_CHANGE_MS),
            bar(f"memory of a table of {_SMALL_BACKENDS} backends, KiB", kib, _BAR_TABLE_KIB),
        ],
    }


def _changes(builder: RowBuilder, table: Sequence[Backend], rounds: int) -> list[float]:
    """Each time another backend fails: from the changed model to finished rows."""
    return [
        milliseconds(
            lambda number=number: builder.rows(  # type: ignore[misc]
                [replace(backend, healthy=i != number) for i, backend in enumerate(table)], SEED, DEPTH
            )
        )
        for number in range(rounds)
    ]


def _kib_of_a_small_table() -> float:
    done = subprocess.run([sys.executable, "-c", _SMALL], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"the memory of small tables: {done.stderr.strip()}")
    return round(int(done.stdout) / 1024, 1)
