# SPDX-License-Identifier: MIT
"""The service manager, systemd: readiness, the watchdog, and whether a stop is the first half of a restart.

Protocol: sd_notify(3), sd_watchdog_enabled(3). Without a service manager, nothing here has an effect.
"""

import asyncio
import logging
import os
import subprocess
from collections.abc import Mapping

import sdnotify

from glb.daemon.lane import Lane
from glb.waiting import wait_for_any

log = logging.getLogger(__name__)

UNIT_VARIABLE = "GLB_UNIT"
"""The environment variable with the name of the daemon's unit, which the unit sets."""

_QUERY_SECONDS = 5.0
_BEATS = 3  # in each of the watchdog's periods
_RESTARTS = ("restart", "try-restart", "reload-or-start")
_REMEDY = "`rm -r /sys/fs/bpf/glb/<interface>` detaches it"


def notify_ready(status: str) -> None:
    """The start has succeeded; status: one line for `systemctl status`."""
    _notify(f"READY=1\nSTATUS={status}")


def notify_stopping() -> None:
    _notify("STOPPING=1")


def request_stop_time(seconds: float) -> None:
    """A stop may take so long from now on, whatever the unit's TimeoutStopSec is."""
    _notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")


def watchdog_seconds(environment: Mapping[str, str], pid: int) -> float | None:
    """The time within which the service manager wants a sign of life; None if it wants none of this process."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        seconds = int(environment["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return None
    return seconds if seconds > 0 else None


async def feed_watchdog(traffic: Lane, stop: asyncio.Event) -> None:
    """Send the signs of life until stop is set, each only if the event loop runs and the lane `traffic` has done a job
    meanwhile. What hangs in another lane, such as a file system, does not keep traffic from being served."""
    period = watchdog_seconds(os.environ, os.getpid())
    if period is None:
        return
    while not stop.is_set():
        if await makes_progress(traffic, period / _BEATS):
            _notify("WATCHDOG=1")
        else:
            job = traffic.running
            log.error("the watchdog gets no sign of life: the lane traffic hangs in %s", job.what if job else "a job")
        await wait_for_any(stop, seconds=period / _BEATS)


async def makes_progress(lane: Lane, seconds: float) -> bool:
    """Whether a job that is queued now is done within the time."""
    try:
        await asyncio.wait_for(lane.run("sign of life", _do_nothing), seconds)
    except TimeoutError:
        return False
    return True


async def keeps_datapath(unit: str | None) -> bool:
    """Whether the stop that has just been requested is half of a restart, so that the datapath stays attached.

    unit: this daemon's unit; None if no service manager runs it. If systemd does not answer, the datapath stays: a
    restart must not lose packets.
    """
    if unit is None:
        return False
    try:
        return is_restarted(unit, await asyncio.to_thread(_list_jobs))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning("the datapath stays attached: systemctl does not list its jobs: %s; %s", error, _REMEDY)
        return True


def is_restarted(unit: str, jobs: str) -> bool:
    """Whether a job is to start the unit again. Raises ValueError.

    jobs: of `systemctl list-jobs`, a line each: number, unit, type, state. systemd 252 has no JSON for them.
    """
    kinds: dict[str, str] = {}
    for line in jobs.splitlines():
        number, name, kind, _ = line.split()
        int(number)  # or it is no line of a job
        kinds[name] = kind
    return kinds.get(unit) in _RESTARTS


def _list_jobs() -> str:
    """Raises OSError and SubprocessError."""
    command = ("systemctl", "list-jobs", "--no-legend", "--plain", "--full", "--no-pager")
    ended = subprocess.run(command, capture_output=True, check=True, text=True, timeout=_QUERY_SECONDS)
    return ended.stdout


def _notify(message: str) -> None:
    sdnotify.SystemdNotifier().notify(message)


def _do_nothing() -> None:
    pass
