# SPDX-License-Identifier: MIT
"""The duty that announces the VIPs: while the datapath works and a table can serve, and not a moment longer."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from glb.config.model import Network
from glb.config.routing import Routing, SpeakerKind
from glb.daemon.lane import Worker
from glb.daemon.service_manager import request_stop_time
from glb.director.forwarding import Forwarding
from glb.director.quiet import packets_taken, wait_until_quiet
from glb.errors import GlbError
from glb.paths import run_dir
from glb.routing.prefixes import last_resorts, not_carried, prefixes_to_announce, unreachable_behind
from glb.routing.speaker import Session, Speaker
from glb.routing.speakers import create_speaker
from glb.waiting import unless, wait_for_any

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_LOOKS_PER_TEST = 3
_PREFERENCE_SECONDS = 5.0
"""That routers get to turn to other paths at the graceful shutdown's request, before ours is withdrawn."""

_SPEAKER_SECONDS = 15.0
"""That a stop may take beside the wait for traffic."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides about announcing. unreachable: the prefixes of which this director reaches no backend."""

    routing: Routing | None
    prefixes: tuple[Network, ...]
    unreachable: tuple[Network, ...]

    @property
    def is_announced(self) -> bool:
        """Whether announcing is this daemon's task."""
        return self.routing is not None and self.routing.speaker is not SpeakerKind.NONE


@dataclass(frozen=True, slots=True)
class Announcement:
    """The prefixes that are announced, and those of them that routers are to use as a last resort."""

    prefixes: tuple[Network, ...] = ()
    last_resort: tuple[Network, ...] = ()

    def __str__(self) -> str:
        """Such as "203.0.113.10/32, 2001:db8:f::10/128 (last resort)"."""
        marked = (f"{prefix}{' (last resort)' * (prefix in self.last_resort)}" for prefix in self.prefixes)
        return ", ".join(marked) or "nothing"


_NOTHING = Announcement()


@dataclass(frozen=True, slots=True)
class RoutingStatus:
    """What the daemon says of its routing."""

    speaker: str
    draining: bool
    announced: tuple[str, ...]
    last_resort: tuple[str, ...]
    """Those of them that have the graceful shutdown community, since no backend behind them can be reached."""
    not_carried: tuple[str, ...]
    """Prefixes that no session carries, for want of a peer of their family."""
    sessions: tuple[Session, ...]
    fault: str | None
    """Why nothing is announced, or the speaker does not answer."""


@dataclass(frozen=True, slots=True)
class Drained:
    """How a drain went: whether no packet came any more at its end, how many came during it, and its seconds; whether
    its wait was called off, because the director is to announce again, or to stop."""

    quiet: bool
    packets: int
    seconds: float
    called_off: bool


class Announcer:
    """Follows the controller, and drives the speaker. All in one event loop; the speaker's calls block in threads."""

    def __init__(self, interfaces: Sequence[str], keep: Callable[[], bool]) -> None:
        """keep: whether the datapath stays attached at the end; called once the daemon stops."""
        self._interfaces = interfaces
        self._keep = keep
        self._turn = asyncio.Lock()
        self._stop = asyncio.Event()
        self._routing: Routing | None = None
        self._speaker: Speaker | None = None
        self._started = False
        self._announced: Announcement | None = None  # None: not known, as of a speaker that was adopted
        self._last_resorts: dict[Network, float] = {}
        self._sessions: tuple[Session, ...] = ()
        self._draining = False
        self._left = True  # whether no packet came any more at the end of the last drain
        self._broken: str | None = None  # what the self-test says
        self._silent: str | None = None  # what the speaker, or its absence, says

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
            fault=self._broken or self._silent,
        )

    async def duty(self, traffic: Worker[Forwarding], stop: asyncio.Event) -> None:
        """Look each second; at the end, unless the datapath is to stay, withdraw and wait until traffic has gone."""
        self._stop = stop
        looks = 0
        while not stop.is_set():
            situation = _situation(traffic.service)
            if situation.is_announced and looks % _LOOKS_PER_TEST == 0 and not self._draining:
                await unless(stop, self._test(traffic))
            async with self._turn:
                if not stop.is_set():  # a drain, which has held the turn, may have been called off
                    await asyncio.to_thread(self._follow, situation)
            looks += 1
            await wait_for_any(stop, seconds=_LOOK_SECONDS)
        if not self._keep():
            await self._take_leave()

    async def drain(self, timeout: float) -> Drained:
        """Withdraw, the graceful way, and wait until no packet comes; the daemon goes on, and announces nothing.

        timeout: seconds in all.
        """
        async with self._turn:
            self._draining = True
            return await self._drain(timeout, lambda: self._stop.is_set() or not self._draining)

    def end_drain(self) -> None:
        """Announce again, from the next look on. A drain that is still on is called off."""
        if self._draining:
            self._draining = False
            self._announced = None  # what is announced may have the community still

    async def _drain(self, timeout: float, called_off: Callable[[], bool] = lambda: False) -> Drained:
        began = time.monotonic()
        before = packets_taken(self._interfaces)
        if self._announced is not None and (prefixes := self._announced.prefixes):
            log.info("routing: graceful shutdown of %s", _listed(prefixes))
            await self._tell(lambda speaker: speaker.announce(prefixes, graceful_shutdown=prefixes))
            await wait_until_quiet(self._interfaces, min(_PREFERENCE_SECONDS, timeout / 2), called_off)
        if not called_off():
            self._announced = _NOTHING if await self._tell(lambda speaker: speaker.withdraw()) else None
        left = timeout - (time.monotonic() - began)
        self._left = await wait_until_quiet(self._interfaces, max(left, 0), called_off)
        seconds = round(time.monotonic() - began, 3)
        drained = Drained(self._left, packets_taken(self._interfaces) - before, seconds, called_off())
        if drained.quiet:
            log.info("routing: drained in %.1f s", seconds)
        elif drained.called_off:
            log.info("routing: the drain is called off after %.1f s", seconds)
        else:
            log.warning("routing: packets still come %.1f s after the withdrawal began", seconds)
        return drained

    async def _tell(self, what: Callable[[Speaker], None]) -> bool:
        """Whether the speaker, if there is one, did what it was told."""
        if self._speaker is not None:
            try:
                await asyncio.to_thread(what, self._speaker)
            except (GlbError, OSError) as error:
                self._note_silence(str(error))
                return False
        return True

    async def _take_leave(self) -> None:
        async with self._turn:
            if self._speaker is None or self._routing is None:
                return
            try:
                if self._announced != _NOTHING or not self._left:
                    request_stop_time(self._routing.drain_timeout + _SPEAKER_SECONDS)
                    await self._drain(self._routing.drain_timeout)
            except (GlbError, OSError) as error:  # the counters are gone, and perhaps the datapath with them
                log.error("routing: withdrawn at once, since nothing tells whether packets come: %s", error)
            await self._tell(lambda speaker: speaker.stop())

    async def _test(self, traffic: Worker[Forwarding]) -> None:
        try:
            await traffic.run("self-test", Forwarding.self_test)
        except GlbError as error:
            self._note_fault(str(error))
        else:
            self._note_fault(None)

    def _note_fault(self, fault: str | None) -> None:
        if fault and fault != self._broken:
            log.error("routing: the self-test fails, nothing is announced: %s", fault)
        elif self._broken and not fault:
            log.info("routing: the self-test passes again")
        self._broken = fault

    def _note_silence(self, fault: str | None) -> None:
        if fault and fault != self._silent:
            log.error("routing: the speaker is not led, which is tried again: %s", fault)
        self._silent = fault

    def _follow(self, situation: Situation) -> None:
        """Have the speaker announce what is to be announced now; what goes wrong is tried again at the next look."""
        try:
            self._follow_configuration(situation)
            if self._speaker is not None:
                nothing = self._broken or self._draining
                self._follow_prefixes(self._speaker, _NOTHING if nothing else self._announcement(situation))
                self._note_sessions(self._speaker.sessions())
        except (GlbError, OSError) as error:
            self._started = False  # it may have died
            self._note_silence(str(error))
        else:
            self._note_silence(None)

    def _follow_configuration(self, situation: Situation) -> None:
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

    def _follow_prefixes(self, speaker: Speaker, wanted: Announcement) -> None:
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
    """What must be the same for a speaker to be the same process."""
    return (routing.speaker, routing.control) if routing else None


def _listed(prefixes: Sequence[Network]) -> str:
    return ", ".join(map(str, prefixes)) or "nothing"
