# SPDX-License-Identifier: MIT
"""The life of a daemon: start, readiness, signals, reload, stop. The same for both daemons."""

import asyncio
import faulthandler
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from glb import __version__
from glb.daemon.descriptors import raise_limit
from glb.daemon.lane import Lane
from glb.daemon.service_manager import UNIT_VARIABLE, feed_watchdog, keeps_datapath, notify_ready, notify_stopping
from glb.errors import DaemonError
from glb.memory import give_back, share_heap
from glb.waiting import wait_for_any

log = logging.getLogger(__name__)


class Ending:
    """The end of a daemon, which SIGTERM or SIGINT requests.

    stop: set once `keep` is decided. keep: whether the datapath stays attached, which is so if the daemon was started
    with --keep, or if its service manager restarts it.
    """

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.stop = asyncio.Event()
        self._decision: asyncio.Task[None] | None = None

    def request(self) -> None:
        if self._decision is None:
            self._decision = asyncio.create_task(self._decide())

    async def _decide(self) -> None:
        try:
            self.keep = self.keep or await keeps_datapath(os.environ.get(UNIT_VARIABLE))
        finally:
            self.stop.set()


def on_signal(action: Callable[[], None], *numbers: signal.Signals) -> None:
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, action)


class Service(Protocol):
    """The part of a daemon that a role provides."""

    def reload(self) -> object:
        """Load the files. Runs in the lane `loads`."""

    def detach(self) -> None:
        """Detach the program from the interfaces and remove pins and files. Runs in the lane `traffic`."""

    def leave(self) -> None:
        """Leave the datapath attached when this process exits. Runs in the lane `traffic`."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """A daemon's lanes.

    traffic: owns the datapath and applies health and changes of the network; its actions are short. loads: reads files,
    builds tables, compiles, writes the history; may take long or hang with a file system. reports: writes status files.
    """

    traffic: Lane
    loads: Lane
    reports: Lane

    @classmethod
    def start(cls) -> "Lanes":
        return cls(Lane("traffic"), Lane("loads"), Lane("reports"))


S = TypeVar("S", bound=Service)

_STOP_SECONDS = 5.0
"""How long a stop waits for a load that is still running."""


async def run_service(
    role: str,
    interfaces: Sequence[str],
    files: Sequence[Path],
    ending: Ending,
    start: Callable[[Lanes], S],
    duties: Sequence[Callable[[S, Lanes, asyncio.Event], Coroutine[None, None, None]]],
) -> None:
    """Run a daemon: start, run its duties and reload on SIGHUP or SIGUSR1, until SIGTERM or SIGINT.

    `ending` decides whether the datapath stays attached afterwards. It also stays if this process fails, so that
    traffic is not affected. A stop does not wait for a load that hangs. Raises what `start` raises.
    """
    raise_limit()
    share_heap()
    faulthandler.enable()  # SIGABRT, by which a watchdog ends a daemon that hangs, shows where it hangs
    stop = ending.stop
    on_signal(ending.request, signal.SIGTERM, signal.SIGINT)
    lanes = Lanes.start()
    hangup = asyncio.Event()
    # Units of glb-director send SIGUSR1 to reload. The default action of both would end the process.
    on_signal(hangup.set, signal.SIGHUP, signal.SIGUSR1)
    service = await _started(lanes, start, stop)
    give_back()
    names = ", ".join(interfaces)
    lanes.reports.flush(_FLUSH_SECONDS)
    notify_ready(f"attached to {names}")
    log.info("%s", describe_start(role, interfaces, files))
    try:
        async with asyncio.TaskGroup() as tasks:
            for duty in duties:
                tasks.create_task(duty(service, lanes, stop))
            tasks.create_task(_reload_at(hangup, service, lanes, stop))
            tasks.create_task(feed_watchdog(lanes.traffic, stop))
            await stop.wait()
            notify_stopping()
    except BaseException:
        await _end(lanes, service.leave)
        raise
    await _end(lanes, service.leave if ending.keep else service.detach)
    log.info("%s: %s", names, "stopped; the datapath stays attached" if ending.keep else "detached")


def describe_start(role: str, interfaces: Sequence[str], files: Sequence[Path]) -> str:
    """The log line of a successful start: role, interfaces, version, pid, files."""
    by = f", files {', '.join(str(file.absolute()) for file in files)}" if files else ", no files"
    return f"{', '.join(interfaces)}: {role} ready: glb {__version__}, pid {os.getpid()}{by}"


_FLUSH_SECONDS = 1.0


async def _started(lanes: Lanes, start: Callable[[Lanes], S], stop: asyncio.Event) -> S:
    """Start the service and return it. If a stop is requested first, a start that hangs is abandoned."""
    starting = asyncio.create_task(lanes.loads.run("start", lambda: start(lanes)))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        await asyncio.wait((starting,), timeout=_STOP_SECONDS)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        raise DaemonError("stopped during a start that hangs: check whether a file system is unreachable")
    return starting.result()


async def _reload_at(hangup: asyncio.Event, service: Service, lanes: Lanes, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await wait_for_any(hangup, stop)
        if hangup.is_set():
            hangup.clear()
            lanes.loads.post_once("reload", service.reload)


async def _end(lanes: Lanes, last: Callable[[], None]) -> None:
    """Stop loading, run the last action on the datapath, and write the last report."""
    if not await asyncio.to_thread(lanes.loads.close, _STOP_SECONDS):
        running = lanes.loads.running
        log.warning("%s is still running and is abandoned", running.what if running else "a load")
    await lanes.traffic.run("stop", last)
    await asyncio.to_thread(lanes.reports.flush, _FLUSH_SECONDS)
