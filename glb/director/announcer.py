# SPDX-License-Identifier: MIT
"""The duty that announces the VIPs, while the datapath works and a table can serve."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from glb.config.model import Network
from glb.config.routing import Routing, SpeakerKind
from glb.daemon.lane import Worker
from glb.daemon.service_manager import request_stop_time
from glb.datapath.counters import read_counters
from glb.director.forwarding import Forwarding
from glb.errors import GlbError
from glb.paths import run_dir
from glb.routing.prefixes import last_resorts, not_carried, prefixes_to_announce, unreachable_behind
from glb.routing.speaker import Session, Speaker
from glb.routing.speakers import create_speaker
from glb.waiting import unless, wait_for_any

log = logging.getLogger(__name__)

_PERIOD_SECONDS = 1.0
_PERIODS_PER_TEST = 3
_PREFERENCE_SECONDS = 5.0
"""How long routers have to select other paths after the graceful shutdown community, before the withdrawal."""

_TAKEN = ("encapsulated", "redirected", "answered_echo", "answered_too_big")
_POLL_SECONDS = 0.1
_QUIET_SECONDS = 1.0  # traffic has ended when no packet has arrived for this long

_SPEAKER_SECONDS = 15.0
"""How long a stop may take in addition to the wait for traffic."""


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts that determine announcements. unreachable: the prefixes of which this director reaches no backend."""

    routing: Routing | None
    prefixes: tuple[Network, ...]
    unreachable: tuple[Network, ...]

    @property
    def is_announced(self) -> bool:
        """Whether this daemon announces routes."""
        return self.routing is not None and self.routing.speaker is not SpeakerKind.NONE


@dataclass(frozen=True, slots=True)
class Announcement:
    """The announced prefixes, and those of them that routers use as a last resort."""

    prefixes: tuple[Network, ...] = ()
    last_resort: tuple[Network, ...] = ()

    def __str__(self) -> str:
        """Such as "203.0.113.10/32, 2001:db8:f::10/128 (last resort)"."""
        marked = (f"{prefix}{' (last resort)' * (prefix in self.last_resort)}" for prefix in self.prefixes)
        return ", ".join(marked) or "nothing"


_NOTHING = Announcement()


@dataclass(frozen=True, slots=True)
class RoutingStatus:
    """The status of the daemon's routing."""

    speaker: str
    draining: bool
    announced: tuple[str, ...]
    last_resort: tuple[str, ...]
    """The announced prefixes with the graceful shutdown community, since none of their backends can be reached."""
    not_carried: tuple[str, ...]
    """Prefixes that no session carries, because no peer has their address family."""
    sessions: tuple[Session, ...]
    fault: str | None
    """Why nothing is announced, or the error of the speaker."""


@dataclass(frozen=True, slots=True)
class Drained:
    """The result of a drain.

    quiet: no more packets arrived at its end. packets: the number that arrived during it. called_off: the wait ended
    early, because the director announces again or stops.
    """

    quiet: bool
    packets: int
    seconds: float
    called_off: bool


class Announcer:
    """Controls the speaker. Belongs to the event loop; blocking calls of the speaker run in threads."""

    def __init__(self, interfaces: Sequence[str], keep: Callable[[], bool]) -> None:
        """keep: whether the datapath stays attached at the end; called once the daemon stops."""
        self._interfaces = interfaces
        self._keep = keep
        self._lock = asyncio.Lock()
        self._stop = asyncio.Event()
        self._routing: Routing | None = None
        self._speaker: Speaker | None = None
        self._started = False
        self._announced: Announcement | None = None  # None: unknown, as for an adopted speaker
        self._last_resorts: dict[Network, float] = {}
        self._sessions: tuple[Session, ...] = ()
        self._draining = False
        self._drained = True  # whether no more packets arrived at the end of the last drain
        self._test_fault: str | None = None  # of the self-test
        self._speaker_fault: str | None = None

    @property
    def status(self) -> RoutingStatus:
        announced = self._announced or _NOTHING
        lost = not_carried(self._routing, announced.prefixes) if self._routing else ()
        return RoutingStatus(
            speaker=str(self._routing.speaker) if self._routing and self._speaker else "none",
            draining=self._draining,
            announced=tuple(map(str, announced.prefixes)),
            last_resort=tuple(map(str, announced.last_resort)),
            not_carried=tuple(map(str, lost)),
            sessions=self._sessions,
            fault=self._test_fault or self._speaker_fault,
        )

    async def duty(self, traffic: Worker[Forwarding], stop: asyncio.Event) -> None:
        """Update the announcements every second. At the end, unless the datapath stays attached, withdraw and drain."""
        self._stop = stop
        period = 0
        while not stop.is_set():
            situation = _situation(traffic.service)
            if situation.is_announced and period % _PERIODS_PER_TEST == 0 and not self._draining:
                await unless(stop, self._test(traffic))
            async with self._lock:
                if not stop.is_set():  # a drain that held the lock may have been called off
                    await asyncio.to_thread(self._update, situation)
            period += 1
            await wait_for_any(stop, seconds=_PERIOD_SECONDS)
        if not self._keep():
            await self._stop_speaker()

    async def drain(self, timeout: float) -> Drained:
        """Withdraw gracefully, and wait until no more packets arrive. Until `end_drain`, nothing is announced.

        timeout: of the whole drain, in seconds.
        """
        async with self._lock:
            self._draining = True
            return await self._drain(timeout, lambda: self._stop.is_set() or not self._draining)

    def end_drain(self) -> None:
        """Announce again, within a second. A drain that is still running is called off."""
        if self._draining:
            self._draining = False
            self._announced = None  # announced prefixes may still have the community

    async def _drain(self, timeout: float, called_off: Callable[[], bool] = lambda: False) -> Drained:
        began = time.monotonic()
        before = _packets_taken(self._interfaces)
        if self._announced is not None and (prefixes := self._announced.prefixes):
            log.info("routing: graceful shutdown of %s", _listed(prefixes))
            await self._call(lambda speaker: speaker.announce(prefixes, graceful_shutdown=prefixes))
            await _wait_until_quiet(self._interfaces, min(_PREFERENCE_SECONDS, timeout / 2), called_off)
        if not called_off():
            self._announced = _NOTHING if await self._call(lambda speaker: speaker.withdraw()) else None
        left = timeout - (time.monotonic() - began)
        self._drained = await _wait_until_quiet(self._interfaces, max(left, 0), called_off)
        seconds = round(time.monotonic() - began, 3)
        drained = Drained(self._drained, _packets_taken(self._interfaces) - before, seconds, called_off())
        if drained.quiet:
            log.info("routing: drained in %.1f s", seconds)
        elif drained.called_off:
            log.info("routing: drain called off after %.1f s", seconds)
        else:
            log.warning("routing: packets still arrive %.1f s after the withdrawal began", seconds)
        return drained

    async def _call(self, action: Callable[[Speaker], None]) -> bool:
        """Call the speaker, if there is one. Returns False if that failed."""
        if self._speaker is not None:
            try:
                await asyncio.to_thread(action, self._speaker)
            except (GlbError, OSError) as error:
                self._note_speaker_fault(str(error))
                return False
        return True

    async def _stop_speaker(self) -> None:
        async with self._lock:
            if self._speaker is None or self._routing is None:
                return
            try:
                if self._announced != _NOTHING or not self._drained:
                    request_stop_time(self._routing.drain_timeout + _SPEAKER_SECONDS)
                    await self._drain(self._routing.drain_timeout)
            except (GlbError, OSError) as error:  # the counters are gone, perhaps with the datapath
                log.error("routing: withdrawn at once, since packets cannot be counted: %s", error)
            await self._call(lambda speaker: speaker.stop())

    async def _test(self, traffic: Worker[Forwarding]) -> None:
        try:
            await traffic.run("self-test", Forwarding.self_test)
        except GlbError as error:
            self._note_test_fault(str(error))
        else:
            self._note_test_fault(None)

    def _note_test_fault(self, fault: str | None) -> None:
        if fault and fault != self._test_fault:
            log.error("routing: the self-test fails, nothing is announced: %s", fault)
        elif self._test_fault and not fault:
            log.info("routing: the self-test passes again")
        self._test_fault = fault

    def _note_speaker_fault(self, fault: str | None) -> None:
        if fault and fault != self._speaker_fault:
            log.error("routing: the speaker does not respond, retrying: %s", fault)
        self._speaker_fault = fault

    def _update(self, situation: Situation) -> None:
        """Make the speaker announce the present prefixes. Errors are logged and retried in the next period."""
        try:
            self._update_speaker(situation)
            if self._speaker is not None:
                is_withdrawn = self._test_fault or self._draining
                self._update_prefixes(self._speaker, _NOTHING if is_withdrawn else self._announcement(situation))
                self._note_sessions(self._speaker.sessions())
        except (GlbError, OSError) as error:
            self._started = False  # it may have exited
            self._note_speaker_fault(str(error))
        else:
            self._note_speaker_fault(None)

    def _update_speaker(self, situation: Situation) -> None:
        routing = situation.routing
        if routing == self._routing and self._started:
            return
        fresh = create_speaker(routing, run_dir(), self._interfaces[0]) if routing else None
        if self._speaker is not None and _identity(routing) != _identity(self._routing):
            self._speaker.stop()
        self._routing, self._speaker, self._announced, self._sessions = routing, fresh, _NOTHING, ()
        if fresh is not None and routing is not None:
            adopted = fresh.start(routing)
            self._announced = None if adopted else _NOTHING
            log.info("routing: %s %s", routing.speaker, "adopted" if adopted else "started")
        self._started = True

    def _announcement(self, situation: Situation) -> Announcement:
        self._last_resorts = last_resorts(self._last_resorts, situation.unreachable, time.monotonic())
        last = tuple(prefix for prefix in situation.prefixes if prefix in self._last_resorts)
        return Announcement(situation.prefixes, last)

    def _update_prefixes(self, speaker: Speaker, wanted: Announcement) -> None:
        if wanted == self._announced:
            return
        speaker.announce(wanted.prefixes, graceful_shutdown=wanted.last_resort)
        self._announced = wanted
        log.log(logging.WARNING if wanted.last_resort else logging.INFO, "routing: announced: %s", wanted)
        if self._routing and (lost := not_carried(self._routing, wanted.prefixes)):
            log.warning("routing: no session carries %s: routing.peers has no peer of that family", _listed(lost))

    def _note_sessions(self, sessions: tuple[Session, ...]) -> None:
        for session in sessions:
            if session not in self._sessions:
                log.info("routing: session with %s: %s", session.peer, session.state)
        self._sessions = sessions


def _situation(forwarding: Forwarding) -> Situation:
    routing, tables = forwarding.loaded.config.routing, forwarding.loaded.tables
    if routing is None:
        return Situation(None, (), ())
    unreached = {name for director in forwarding.directors for name in director.report.unreached()}
    return Situation(routing, prefixes_to_announce(routing, tables), unreachable_behind(routing, tables, unreached))


def _identity(routing: Routing | None) -> object:
    """What identifies the process of a speaker."""
    return (routing.speaker, routing.control) if routing else None


def _listed(prefixes: Sequence[Network]) -> str:
    return ", ".join(map(str, prefixes)) or "nothing"


def _packets_taken(interfaces: Sequence[str]) -> int:
    """The packets to VIPs that the directors of these interfaces have taken so far, by the datapath's counters."""
    counts = [read_counters(interface, "director") for interface in interfaces]
    return sum(count[verdict] for count in counts for verdict in _TAKEN)


async def _wait_until_quiet(
    interfaces: Sequence[str], bound: float, called_off: Callable[[], bool] = lambda: False
) -> bool:
    """Wait until no packet has arrived for a while.

    Returns False if packets still arrive after `bound` seconds, or if the wait was called off.
    """
    deadline = time.monotonic() + bound
    last, since = _packets_taken(interfaces), time.monotonic()
    while (now := time.monotonic()) - since < _QUIET_SECONDS:
        if now > deadline or called_off():
            return False
        await asyncio.sleep(_POLL_SECONDS)
        if (count := _packets_taken(interfaces)) != last:
            last, since = count, time.monotonic()
    return True
