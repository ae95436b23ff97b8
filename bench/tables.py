# SPDX-License-Identifier: MIT
"""What forwarding tables cost: full builds beside a plain one in C, and the rows after a change of one backend.

Times are CPU time of one thread, which waits for nothing: on an idle machine, what a clock on the wall would show. The
reference, table_reference.c, is compiled with the system's cc at -O2. Both are measured in rounds, in turn, on one CPU,
and their rows must be the same.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from bench.cpus import on_one_cpu
from bench.harness import BenchError
from bench.samples import in_rounds, ratio, spread
from glb.config.model import Backend, State
from glb.table.builder import RowBuilder
from glb.table.model import Rows
from glb.table.rows import build_rows

SOURCE = Path(__file__).with_name("table_reference.c")
SEED = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
FIRST_ADDRESS = ip_address("10.0.0.1")

SIZES = (2, 40, 100, 256)
ROUNDS = 7
DEPTH = 3
REFERENCE_DEPTH = 2

BAR_SIZE, BAR_TIMES = 100, 0.5
BAR_CHANGE_MS = 30.0

Measure = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to a table of which another one has been built before."""

    name: str
    before: Sequence[Backend]
    after: Sequence[Backend]


def run() -> dict[str, Any]:
    """Measure everything. Times are in milliseconds. Raises BenchError if there is no C compiler, or if rows differ."""
    with on_one_cpu(), tempfile.TemporaryDirectory() as folder:
        program = _compile(Path(folder))
        _compare_rows(program)
        builds = {str(size): _measure_build(program, size) for size in SIZES}
        changes = _measure_changes(max(SIZES))
    return {
        "rounds": ROUNDS,
        "full build, ms, by number of backends": builds,
        f"one change of {max(SIZES)} backends to finished rows, ms": changes,
        "bars": _bars(builds, changes),
    }


def _compile(folder: Path) -> Path:
    program = folder / "table_reference"
    try:
        subprocess.run(["cc", "-O2", "-o", program, SOURCE], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise BenchError("cc: not found; the tables are measured beside a build in C") from None
    except subprocess.CalledProcessError as error:
        raise BenchError(f"cc {SOURCE}: {error.stderr.strip()}") from error
    return program


def _reference(program: Path, size: int) -> tuple[float, int]:
    """One full build in C: its milliseconds, and the checksum of its rows."""
    argv = [str(program), SEED.hex(), str(size)]
    nanoseconds, checksum = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    return int(nanoseconds) / 1e6, int(checksum, 16)


def _compare_rows(program: Path) -> None:
    for size in SIZES:
        if _checksum(build_rows(some_backends(size), SEED, REFERENCE_DEPTH)) != _reference(program, size)[1]:
            raise BenchError(f"{SOURCE.name}: its rows for {size} backends are not glb's")


def _checksum(rows: Rows) -> int:
    """FNV-1a over the rows as the binary format has them."""
    checksum = 0xCBF29CE484222325
    for byte in rows.astype("<u4").tobytes():
        checksum = (checksum ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return checksum


def some_backends(size: int) -> list[Backend]:
    """All alike, and with addresses in a row."""
    return [Backend(FIRST_ADDRESS + i) for i in range(size)]


def milliseconds(work: Callable[[], object]) -> float:
    """The CPU time that this thread takes for it."""
    start = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - start) / 1e6


def _measure_build(program: Path, size: int) -> dict[str, Any]:
    backends = some_backends(size)
    taken = in_rounds(
        {
            "C reference": lambda: _reference(program, size)[0],
            "glb": lambda: milliseconds(lambda: build_rows(backends, SEED, REFERENCE_DEPTH)),
            f"glb at depth {DEPTH}": lambda: milliseconds(lambda: build_rows(backends, SEED, DEPTH)),
            f"glb at depth {DEPTH}, first of a builder": lambda: milliseconds(
                lambda: RowBuilder().rows(backends, SEED, DEPTH)
            ),
        },
        ROUNDS,
    )
    return {
        **{name: spread(values).as_dict() for name, values in taken.items()},
        "glb, times the reference": round(ratio(taken["glb"], taken["C reference"]), 3),
    }


def _measure_changes(size: int) -> dict[str, Any]:
    taken = in_rounds({change.name: _measure_change(change) for change in _changes(some_backends(size))}, ROUNDS)
    return {name: spread(values).as_dict() for name, values in taken.items()}


def _changes(backends: Sequence[Backend]) -> list[Change]:
    first, *others = backends
    drains, fails = [replace(first, state=State.DRAINING), *others], [replace(first, healthy=False), *others]
    rests = [replace(first, state=State.INACTIVE), *others]
    return [
        Change("active to draining", backends, drains),
        Change("draining to active", drains, backends),
        Change("healthy to unhealthy", backends, fails),
        Change("unhealthy to healthy", fails, backends),
        Change("active to inactive", backends, rests),
        Change("inactive to active", rests, backends),
        Change("removed", backends, others),
        Change("added", others, backends),
    ]


def _measure_change(change: Change) -> Measure:
    """From the changed model to finished rows. The builder remembers no more than what was built last."""
    builder = RowBuilder(memory=0)

    def measure() -> float:
        builder.rows(change.before, SEED, DEPTH)
        return milliseconds(lambda: builder.rows(change.after, SEED, DEPTH))

    return measure


def _bars(builds: Mapping[str, Any], changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    times = builds[str(BAR_SIZE)]["glb, times the reference"]
    slowest = max(changes, key=lambda name: changes[name]["median"])
    return [
        bar(f"full build for {BAR_SIZE} backends, times the C reference", times, BAR_TIMES),
        bar(f"one backend's change, ms: {slowest}", changes[slowest]["median"], BAR_CHANGE_MS),
    ]


def bar(what: str, value: float, limit: float) -> dict[str, Any]:
    """A figure that must not be above its limit."""
    return {"what": what, "value": value, "limit": limit, "met": value <= limit}
