# SPDX-License-Identifier: MIT
"""Packets a second through a director in a network namespace, and through the same namespace's own forwarding."""

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from bench import directors, frames
from bench.cases import Flows
from bench.cpus import on_one_cpu
from bench.harness import BenchError
from bench.progress import Progress
from bench.samples import differences, in_rounds, ratio, spread
from bench.wire import Sent, Wire, wire

DIRECTOR = "director"
LINUX = "Linux forwarding"
REFLECT = "sent back at once by XDP"
_MOST_LOSS = 0.01
_TRIES = 10
_SHORT = 10_000
_FLOWS = Flows(int(IPv4Address(frames.CLIENT4)), int(IPv4Address(frames.VIP4)), 1)


def run(rounds: int, packets: int, progress: Progress) -> dict[str, Any]:
    """Measure on one CPU, which sends, forwards and receives."""
    with on_one_cpu(), ExitStack() as held:
        progress("network: packets a second")
        datapath = held.enter_context(directors.director(directors.tables(1)))
        between = held.enter_context(wire())
        programs = {
            DIRECTOR: datapath.program.fd,
            LINUX: between.program("to_stack"),
            REFLECT: between.program("reflect"),
        }
        taken = in_rounds({name: _rate(between, fd, packets) for name, fd in programs.items()}, rounds)
    beyond = {name: statistics.median(differences(_ns(taken[name]), _ns(taken[REFLECT]))) for name in (DIRECTOR, LINUX)}
    return {
        "packets_a_second": {name: spread(values).as_dict() for name, values in taken.items()},
        "director_times_linux": round(ratio(taken[DIRECTOR], taken[LINUX]), 2),
        "ns_beyond_sending_back": {name: round(value, 1) for name, value in beyond.items()},
    }


def _ns(rates: Sequence[float]) -> list[float]:
    """For each packet, sending and receiving included."""
    return [1e9 / rate for rate in rates]


def _rate(between: Wire, program: int, packets: int) -> Callable[[], float]:
    return partial(_packets_a_second, between, program, packets)


def _packets_a_second(between: Wire, program: int, packets: int) -> float:
    """What it takes to begin and to end a burst is measured with a short one, and does not count."""
    with between.attached(program):
        short = _whole_burst(between, _SHORT)
        burst = _whole_burst(between, packets)
    return (burst.sent - short.sent) / (burst.seconds - short.seconds)


def _whole_burst(between: Wire, packets: int) -> Sent:
    """A burst of which all came back: where the CPU was wanted by others meanwhile, the wire's queues overflow."""
    for _ in range(_TRIES):
        sent = between.send(frames.tcp4(64), _FLOWS, packets)
        if sent.came_back >= (1 - _MOST_LOSS) * packets:
            return sent
    raise BenchError(f"of {packets} packets {sent.came_back} came back, {_TRIES} times: is the machine busy?")
