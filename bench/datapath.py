# SPDX-License-Identifier: MIT
"""What the two programs cost a packet, in nanoseconds, beside the least that an XDP program can cost."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench import captures, directors, proxies, scrapes
from bench.cases import Case, Harness
from bench.cpus import on_one_cpu
from bench.harness import FLOOR_AT_ONCE, FLOOR_HEADERS, FLOOR_LOOKUP, FLOOR_WORDS, XDP_PASS, Floor, Measuring
from bench.progress import Progress
from bench.samples import differences, in_rounds, ratio, spread

FLOOR_B = "floor (b): constant headers"
FLOOR_C = "floor (c): in 8 writes"
FLOOR_D = "floor (d): a socket's lookup and release"
_CALIBRATION = 20_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How long is measured."""

    rounds: int
    seconds: float
    """For one measurement of one case."""


THOROUGH = Effort(rounds=51, seconds=0.05)
QUICK = Effort(rounds=5, seconds=0.02)


@dataclass(frozen=True, slots=True)
class Bar:
    """What a case's net cost may be at most, as a multiple of another's."""

    case: str
    base: str
    limit: float


_ONE = "TCP IPv4, 64 bytes"
BARS = (
    Bar(_ONE, FLOOR_B, 3.5),
    Bar("TCP IPv6", FLOOR_B, 4.5),
    Bar("no match", FLOOR_B, 1.5),
    Bar("10,000 binds", _ONE, 1.1),
    Bar("256 tables", _ONE, 1.1),
    Bar("exact bind beside CIDR and range", _ONE, 1.1),
)


@dataclass(frozen=True, slots=True)
class _Subject:
    """Something to measure: it takes a number of iterations and gives nanoseconds for each."""

    harness: Harness
    measure: Callable[[int], float]


def run(effort: Effort, progress: Progress) -> dict[str, Any]:
    """Measure everything on one CPU."""
    with on_one_cpu(), ExitStack() as held:
        measuring = held.enter_context(Measuring())
        progress("datapath: loading the directors and the proxy")
        director = _director_cases(held)
        plain = next(case for case in director if case.name == _ONE)
        cases = [*director, *held.enter_context(captures.cases(plain)), *held.enter_context(proxies.cases())]
        for case in cases:
            measuring.check(case)
        subjects = _subjects(measuring, cases)
        progress(f"datapath: {effort.rounds} rounds of {len(subjects)} measurements")
        measures = {name: _measure(subject, effort.seconds) for name, subject in subjects.items()}
        taken = in_rounds(measures, effort.rounds)
    return _result({name: subject.harness for name, subject in subjects.items()}, taken)


def _director_cases(held: ExitStack) -> list[Case]:
    """One flow first, then all rows."""
    found: list[Case] = []
    for sample in directors.samples():
        datapath = held.enter_context(directors.director(sample.tables))
        cases = directors.cases(sample, datapath)
        found += cases
        found += [held.enter_context(scrapes.case(case, datapath)) for case in cases if case.name == _ONE]
    return sorted(found, key=lambda case: case.flows is not None)


def _subjects(measuring: Measuring, cases: list[Case]) -> dict[str, _Subject]:
    subjects = {}
    for harness in Harness:
        case = next(case for case in cases if case.harness is harness)
        floor = Floor(FLOOR_AT_ONCE, harness, case.frame(), case.flows)
        subjects[_floor_a(harness)] = _Subject(harness, partial(measuring.floor, floor))
    for name, program in ((FLOOR_B, FLOOR_HEADERS), (FLOOR_C, FLOOR_WORDS)):
        floor = Floor(program, Harness.FRONT, cases[0].frame())
        subjects[name] = _Subject(Harness.FRONT, partial(measuring.floor, floor))
    socket = next(case for case in cases if case.name == proxies.ESTABLISHED)
    floor = Floor(FLOOR_LOOKUP, socket.harness, socket.frame(), action=XDP_PASS, namespace=socket.namespace)
    subjects[FLOOR_D] = _Subject(socket.harness, partial(measuring.floor, floor))
    for case in cases:
        subjects[case.name] = _Subject(case.harness, partial(measuring.case, case))
    return subjects


def _floor_a(harness: Harness) -> str:
    return f"floor (a), {harness}"


def _measure(subject: _Subject, seconds: float) -> Callable[[], float]:
    """The subject with as many iterations as fill the time."""
    repeat = int(seconds * 1e9 / subject.measure(_CALIBRATION))
    return partial(subject.measure, repeat)


def _result(harnesses: dict[str, Harness], taken: dict[str, list[float]]) -> dict[str, Any]:
    floors = {_floor_a(harness) for harness in Harness}
    net = {
        name: differences(taken[name], taken[_floor_a(harness)])
        for name, harness in harnesses.items()
        if name not in floors
    }
    return {
        "rounds": len(taken[FLOOR_B]),
        "harness_ns": {name: spread(taken[name]).as_dict() for name in sorted(floors)},
        "cases": [
            {
                "name": name,
                "ns": spread(taken[name]).as_dict(),
                "net_ns": spread(values).as_dict(),
                "times_floor_b": _times_floor_b(harnesses[name], values, net[FLOOR_B]),
            }
            for name, values in net.items()
        ],
        "bars": [_judge(bar, net) for bar in BARS],
    }


def _times_floor_b(harness: Harness, values: list[float], floor: list[float]) -> float | None:
    """None for a program that does not encapsulate."""
    return None if harness is Harness.WHOLE else round(ratio(values, floor), 2)


def _judge(bar: Bar, net: dict[str, list[float]]) -> dict[str, Any]:
    value = ratio(net[bar.case], net[bar.base])
    return {
        "what": f"{bar.case} / {bar.base}",
        "value": round(value, 2),
        "limit": bar.limit,
        "met": value <= bar.limit,
    }
