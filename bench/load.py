# SPDX-License-Identifier: MIT
"""Load from wrk, a new connection for each request, and what the machine worked for it."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from bench.harness import BenchError

_CONNECTIONS = 32
_REQUESTS = re.compile(r"(\d+) requests in ([\d.]+)s")
_FLAWS = re.compile(
    r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)|Non-2xx or 3xx responses: (\d+)"
)
_MOST_FLAWS = 0.001
_BUSY = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq in /proc/stat

Command = Callable[[list[str]], "CompletedProcess[str]"]


@dataclass(frozen=True, slots=True)
class Load:
    """One run: connections begun and ended, and the CPU time of the whole machine meanwhile."""

    connections: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return self.connections / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """For each connection."""
        return 1e6 * self.cpu_seconds / self.connections


def load(run: Command, url: str, seconds: int) -> Load:
    """Raises BenchError if wrk ends badly, or more than one in a thousand connections fail."""
    argv = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "--timeout=10s", "-H", "Connection: close", url]
    before = _busy_seconds()
    result = run(argv)
    cpu_seconds = _busy_seconds() - before
    found = _REQUESTS.search(result.stdout)
    if result.returncode or not found:
        raise BenchError(f"wrk on {url}: {result.stdout}{result.stderr}")
    connections = int(found[1])
    flaws = sum(int(number) for match in _FLAWS.finditer(result.stdout) for number in match.groups() if number)
    if not connections or flaws > _MOST_FLAWS * connections:
        raise BenchError(f"wrk on {url}: {flaws} of {connections} connections failed: {result.stdout}")
    return Load(connections, float(found[2]), cpu_seconds)


def _busy_seconds() -> float:
    """Of all CPUs since boot; a director's work is in it wherever the kernel does it."""
    ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(ticks[field]) for field in _BUSY) / os.sysconf("SC_CLK_TCK")
