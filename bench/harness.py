# SPDX-License-Identifier: MIT
"""The harness as Python uses it: a case in, nanoseconds out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench import testrun
from bench.cases import Case, Flows, Harness
from bench.programs import Programs
from glb.datapath.counters import counters_of
from glb.network.namespaces import within

FLOOR_AT_ONCE = "floor_at_once"
FLOOR_HEADERS = "floor_headers"
FLOOR_WORDS = "floor_words"
FLOOR_LOOKUP = "floor_lookup"

XDP_PASS, XDP_TX = 2, 3
_TRIAL_RUNS = 100
_HEAD = 64
_NO_FLOWS = Flows(0, 0, 1)


class BenchError(Exception):
    """The bench would not measure what it says."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What a harness costs with the least of programs under test."""

    program: str
    harness: Harness
    frame: bytes
    flows: Flows | None = None
    action: int = XDP_TX
    namespace: str | None = None


class Measuring:
    """Programs that restore frames and call others. As a context manager they are given up at the end."""

    def __init__(self) -> None:
        self._harness = Programs("harness.c", [str(harness) for harness in Harness])
        self._floors = Programs("floors.c", [FLOOR_AT_ONCE, FLOOR_HEADERS, FLOOR_WORDS, FLOOR_LOOKUP])

    def __enter__(self) -> "Measuring":
        return self

    def __exit__(self, *_: object) -> None:
        self._floors.close()
        self._harness.close()

    def floor(self, floor: Floor, repeat: int) -> float:
        """Nanoseconds an iteration, harness included. Raises BenchError if the floor ends with another action."""
        harness = self._harness.fds[floor.harness]

        def measure() -> float:
            self._set_up(self._floors.fds[floor.program], floor.frame, floor.flows)
            action, _ = testrun.run(harness, floor.frame, 1)
            if action != floor.action:
                raise BenchError(f"{floor.program}: XDP action {action} instead of {floor.action}")
            return testrun.time_run(harness, floor.frame, repeat)

        return _within(floor.namespace, measure)

    def case(self, case: Case, repeat: int) -> float:
        """The same for a program of glb's. Raises BenchError if it does not do with each frame what it should."""
        frame = case.frame()

        def measure() -> float:
            self._set_up(case.fd, frame, case.flows)
            before = counters_of(case.program).get(case.verdict, 0)
            with case.beside():
                taken = testrun.time_run(self._harness.fds[case.harness], frame, repeat)
            done = counters_of(case.program).get(case.verdict, 0) - before
            if done != repeat:
                raise BenchError(f"{case.name}: {done} of {repeat} packets met {case.verdict}")
            return taken

        return _within(case.namespace, measure)

    def check(self, case: Case) -> None:
        """Raises BenchError if the program does something else to the frame in the harness than it does alone."""
        frame = case.frame()

        def compare() -> None:
            self._set_up(case.fd, frame, case.flows)
            harness = self._harness.fds[case.harness]
            if case.harness is not Harness.FLOWS and (
                testrun.run(harness, frame, _TRIAL_RUNS) != testrun.run(case.fd, frame, 1)
            ):
                raise BenchError(f"{case.name}: the harness changes what becomes of the packet")

        _within(case.namespace, compare)

    def _set_up(self, program: int, frame: bytes, flows: Flows | None) -> None:
        under_test = self._harness.map("under_test")
        under_test[under_test.Key(0)] = under_test.Leaf(program)
        set_frame(self._harness, frame, flows)


def set_frame(harness: Programs, frame: bytes, flows: Flows | None) -> None:
    """Set in the maps of harness.c what each frame is to be."""
    table = harness.map("frame")
    leaf = np.zeros((), dtype=np.dtype(table.Leaf))
    chosen = flows or _NO_FLOWS
    leaf["length"] = len(frame)
    leaf["table_mask"] = chosen.tables - 1
    leaf["source"], leaf["destination"] = chosen.source, chosen.destination
    leaf["head"] = np.frombuffer(frame[:_HEAD].ljust(_HEAD, b"\0"), dtype=np.uint64)
    table[table.Key(0)] = table.Leaf.from_buffer_copy(leaf.tobytes())


def _within(namespace: str | None, action: Callable[[], float | None]) -> float:
    """Act in a namespace, or here."""
    result = within(namespace, action) if namespace else action()
    return result or 0.0
