# SPDX-License-Identifier: MIT
"""What glb takes of a host that does nothing else: daemons at their start and at rest, short commands, health checks.

The daemons run in a lab with one director and three proxies, with the lab's health checks (http and gue). Times are
CPU time, user and system, with that of child processes where a compiler runs in one.
"""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median
from typing import Any

from bench.harness import BenchError
from bench.process import cpu_seconds, resident_mb
from bench.progress import Progress
from bench.tables import bar
from glb.config.health import DEFAULT_STATUSES
from glb.health.check_plan import Check, CheckKind
from glb.health.checker import Checker
from glb.lab import Lab
from glb.lab.process import LabProgram, end

_DIRECTOR, _PROXY = "director1", "proxy1"
_READY_SECONDS = 120.0
_SETTLE_SECONDS = 5.0
_PYTHON = "typer and rich.console alone"
_SHORT = {
    _PYTHON: [sys.executable, "-c", "import typer, rich.console"],
    "glbctl --version": ["glbctl", "--version"],
    "glbctl explain NAME": ["glbctl", "explain", "drop_martian"],
    "completion of a command": ["glbctl"],
}
_COMPLETION = {"_GLBCTL_COMPLETE": "complete_bash", "COMP_WORDS": "glbctl back", "COMP_CWORD": "1"}
_LOCALHOST = IPv4Address("127.0.0.1")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """starts: of each daemon, from the cache. rest: seconds at rest. checks: of each kind."""

    starts: int
    rest: float
    checks: int


THOROUGH = Plan(starts=5, rest=60.0, checks=10_000)
QUICK = Plan(starts=2, rest=10.0, checks=2_000)


def run(chosen: Plan, progress: Progress) -> dict[str, Any]:
    """Measure everything. Raises BenchError or LabError."""
    progress("footprint: starts and daemons at rest")
    with Lab.up("footprint", owned=True, directors=1, proxies=3, daemons=False) as lab:
        starts = {name: _starts(lab, name, chosen.starts) for name in (_PROXY, _DIRECTOR)}
        rest = _at_rest(lab, chosen.rest)
    progress("footprint: commands and checks")
    short = {name: _cpu_of(argv, name) for name, argv in _SHORT.items()}
    checks = asyncio.run(_checks(chosen.checks))
    ratios = {name: round(cached / compiling, 3) for name, (compiling, cached) in starts.items()}
    times = {name: round(seconds / short[_PYTHON], 2) for name, seconds in short.items() if name != _PYTHON}
    return {
        "start that compiles, CPU s": {name: round(compiling, 2) for name, (compiling, _) in starts.items()},
        "start from the cache, CPU s": {name: round(cached, 2) for name, (_, cached) in starts.items()},
        "memory at rest, MB": {name: memory for name, (memory, _) in rest.items()},
        "CPU at rest, %": {name: share for name, (_, share) in rest.items()},
        "short commands, CPU s": {name: round(seconds, 3) for name, seconds in short.items()},
        "CPU of a check, ms": checks,
        "bars": [
            *(bar(f"start from the cache, {name}, of a compiling one", ratios[name], 0.25) for name in ratios),
            bar("memory at rest, proxy, MB", rest[_PROXY][0], 70.0),
            bar("memory at rest, director with one table, MB", rest[_DIRECTOR][0], 110.0),
            bar("CPU at rest, proxy, %", rest[_PROXY][1], 0.5),
            bar("CPU at rest, director with three checked backends, %", rest[_DIRECTOR][1], 2.0),
            *(bar(f"{name}, times {_PYTHON}", times[name], 2.5) for name in times),
            *(bar(f"CPU of a check, {kind}, ms", value, 0.12) for kind, value in checks.items()),
        ],
    }


def _starts(lab: Lab, name: str, count: int) -> tuple[float, float]:
    """CPU seconds until a daemon is ready: with an empty cache of programs, and the median of those from the cache."""
    with tempfile.TemporaryDirectory() as cache:
        seconds = []
        for _ in range(1 + count):
            daemon = _start(lab, name, cache)
            seconds.append(cpu_seconds(daemon.id.pid, children=True))
            end(daemon.id, signal.SIGTERM)
    return seconds[0], median(seconds[1:])


def _at_rest(lab: Lab, seconds: float) -> dict[str, tuple[float, float]]:
    """MB of resident memory, and percent of a CPU."""
    with tempfile.TemporaryDirectory() as cache:
        proxies = [_start(lab, f"proxy{number}", cache) for number in (2, 3)]
        daemons = {name: _start(lab, name, cache) for name in (_PROXY, _DIRECTOR)}
        time.sleep(_SETTLE_SECONDS)
        before = {name: cpu_seconds(daemon.id.pid) for name, daemon in daemons.items()}
        time.sleep(seconds)
        found = {
            name: (
                round(resident_mb(daemon.id.pid), 1),
                round(100 * (cpu_seconds(daemon.id.pid) - before[name]) / seconds, 2),
            )
            for name, daemon in daemons.items()
        }
        for daemon in (*daemons.values(), *proxies):
            end(daemon.id, signal.SIGTERM)
    return found


def _start(lab: Lab, name: str, cache: str) -> LabProgram:
    """A daemon that has reported that it is ready (sd_notify(3)). Raises BenchError."""
    role = "director" if name == _DIRECTOR else "proxy"
    files = ["--config", str(lab.run_dir / f"{name}.conf")]
    if role == "director":
        files += ["--table", str(lab.table_path)]
    path = Path(cache) / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(path))
        notices.settimeout(_READY_SECONDS)
        env = {**lab.env, "GLB_CACHE_DIR": cache, "NOTIFY_SOCKET": str(path)}
        argv = ["glbctl", role, "run", "--iface", name, *files]
        daemon = LabProgram(lab.namespace(name), argv, lab.run_dir / "footprint.log", env)
        try:
            while b"READY=1" not in notices.recv(4096):
                pass
        except TimeoutError as error:
            end(daemon.id, signal.SIGTERM)
            raise BenchError(f"{name} is not ready after {_READY_SECONDS:.0f} s") from error
        finally:
            path.unlink()
    return daemon


def _cpu_of(argv: Sequence[str], name: str) -> float:
    """The least CPU seconds of ten runs."""
    env = os.environ | (_COMPLETION if name == "completion of a command" else {})
    return min(_cpu_of_one(argv, env) for _ in range(10))


def _cpu_of_one(argv: Sequence[str], env: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, env=env, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)}: {done.stderr.decode(errors='replace').strip()}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def _checks(count: int) -> dict[str, float]:
    """CPU milliseconds of one check by loopback; the server is another process."""
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            checker = Checker(_LOCALHOST)
            found = {}
            for kind in (CheckKind.HTTP, CheckKind.TCP):
                check = Check(kind, _LOCALHOST, port, statuses=DEFAULT_STATUSES)
                found[str(kind)] = round(1e3 * await _cpu_of_checks(lambda c=check: checker.run(c), count), 3)  # type: ignore[misc]
            await checker.close()
            return found
        finally:
            server.terminate()


async def _cpu_of_checks(make: Callable[[], Awaitable[Any]], count: int) -> float:
    """As the monitor makes them: each a task with a time limit, some at once."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with slots, asyncio.timeout(_READY_SECONDS):
            result = await make()
        if not result.passed:
            raise BenchError(f"a check failed: {result.found}")

    before = time.process_time()
    await asyncio.gather(*(one() for _ in range(count)))
    return (time.process_time() - before) / count


# A server on a port of its own choice, which it prints: it answers each request, and closes.
_SERVER = f"""
import asyncio

async def answer(reader, writer):
    try:
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write({_ANSWER!r})
        await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
