# SPDX-License-Identifier: MIT
"""The director daemon's loads: files in, tables built and put in force, and an account of it."""

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from glb.config.model import ForwardingTables
from glb.daemon.lifecycle import Lanes
from glb.daemon.report import Report, now
from glb.director.director import Director, Prepared
from glb.director.file_copies import FileCopies
from glb.director.forwarding import SURVIVED, Forwarding, LoadResult
from glb.director.sources import Follow, Loaded, Sources, Stamp, check_tables, read
from glb.errors import GlbError, HistoryError
from glb.health.check_plan import without_repetition
from glb.health.monitor import Monitor
from glb.health.view import HealthView
from glb.history.store import History
from glb.history.version import LoadCause, Origin, Version
from glb.network.interface import find_interface
from glb.network.path_mtu import PathMtus
from glb.table.diff import describe_changes
from glb.table.model import BuiltTable
from glb.table.row_builder import row_builder

log = logging.getLogger(__name__)

_STARTED = Origin(LoadCause.START, "the daemon")
_EDITED = Origin()
_PAUSE_BY_TRY = 9  # a try that loads a program costs seconds of processor time
_FLUSH_SECONDS = 1.0


class Controller:
    """Loads files for all interfaces of a daemon. Belongs to the lane `loads`: its methods may take long.

    What is in force belongs to `forwarding`, which works in the lane `traffic`.
    """

    def __init__(
        self,
        interfaces: Sequence[str],
        sources: Sources,
        socket: Path,
        follow: Follow,
        monitor: Monitor,
        lanes: Lanes,
        path_mtus: PathMtus,
    ) -> None:
        """Read the files, fill the tables and attach; nothing is attached if anything is wrong.

        If the files are bad, those that were in force last go on, if there are copies of them. `follow` has the monitor
        check the tables' backends. Raises ConfigError, TableError, NetworkError or DatapathError.
        """
        started = time.monotonic()
        for interface in interfaces:
            find_interface(interface)  # before backends are checked: without it there is nothing to do
        self._sources = sources
        self._follow = follow
        self._lanes = lanes
        self._path_mtus = path_mtus
        self._view = HealthView()
        self._builder = row_builder()
        self._checked: tuple[ForwardingTables, ...] = ()
        self._copies = FileCopies(interfaces[0], sources)
        self._directors: tuple[Director, ...] = ()
        self._stamp: Stamp | None = sources.stamp()
        self._read_at = now()
        self._warned: tuple[str, ...] = ()
        loaded, refusal = self._first(sources)
        self._warn(loaded)
        self._newest = loaded  # the newest good files
        self._seen: str | None = loaded.digest  # of the files as they were seen last; None: they could not be read
        self._retry_at = 0.0  # by time.monotonic()
        self._origin = _STARTED
        self.history = History.of(sources.table)
        self.version: Version | None = None
        with ExitStack() as undo:
            directors = [self._opened(interface, loaded, socket, undo) for interface in interfaces]
            for director in directors:
                director.attach(started)
            undo.pop_all()
        self._directors = tuple(directors)
        self.forwarding = Forwarding(directors, self._builder, lambda: monitor.view)
        if refusal is None:
            self._remember()
        else:
            log.error("the files are refused; what was in force last goes on, by %s", self._copies.sources.table.parent)
            self._seen = self._digest_now()
            self.forwarding.reject(refusal, self._seen)

    @property
    def loaded(self) -> Loaded:
        """What is in force."""
        return self.forwarding.loaded

    @property
    def reports(self) -> list[Report]:
        """Of each interface."""
        return [director.report for director in self._directors]

    @property
    def table(self) -> Path:
        """The file of the forwarding tables."""
        return self._sources.table

    def build(self, data: bytes, name: str) -> tuple[BuiltTable, ...]:
        """The tables of a source that is not loaded; `name` is its file's, for the messages.

        Backends that are known are as healthy as they are now. Raises ConfigError or TableError. May be called in any
        thread: it changes nothing.
        """
        return check_tables(data, name, self._builder, self._view)

    def reload(self, origin: Origin = _EDITED, whole: bool = False) -> list[LoadResult]:
        """Put the files as they are now in the place of what is loaded; bad ones change nothing but the reports.

        origin: what the history says of these tables. whole: the caller takes them back unless every interface has
        loaded them, so only then are they a version.
        """
        started = time.monotonic()
        self._stamp = self._sources.stamp()
        began = now()
        try:
            loaded = read(self._sources, self._builder, self._followed)
        except SURVIVED as error:
            results = self._reject(error)
        else:
            self._warn(loaded)
            self._newest = loaded
            self._read_at = began
            self._seen = loaded.digest
            self._origin = origin
            results = self._put_in_force(self._directors, started, whole=whole)
        self._check_what_is_in_force()
        self._lanes.reports.flush(_FLUSH_SECONDS)
        return results

    def reload_if_changed(self) -> None:
        """The same, unless the files are as they were seen last."""
        stamp = self._sources.stamp()
        if not stamp.may_differ(self._stamp):
            return
        self._stamp = stamp
        try:
            digest = self._sources.contents().digest
        except SURVIVED as error:
            self._reject(error)
            return
        if digest != self._seen:
            self.reload()

    def retry(self) -> None:
        """Try again to put the newest good files in force where that was not possible before."""
        behind = [director for director in self._directors if director.loaded.digest != self._newest.digest]
        if not behind or time.monotonic() < self._retry_at:
            return
        if any(result.reloaded for result in self._put_in_force(behind, time.monotonic(), is_first=False)):
            self._check_what_is_in_force()

    def detach(self) -> None:
        """Take the programs off the interfaces and remove every trace."""
        self.forwarding.detach()

    def leave(self) -> None:
        """Let the datapaths go on without this process."""
        self.forwarding.leave()

    def give_up(self) -> None:
        """Undo what this process has done: earlier daemons' datapaths stay, new ones go."""
        self.forwarding.give_up()

    def _first(self, sources: Sources) -> tuple[Loaded, Exception | None]:
        """The files, or the copies of those that were in force last, and why the files are refused."""
        try:
            return read(sources, self._builder, self._followed), None
        except SURVIVED as error:
            try:
                return read(self._copies.sources, self._builder, self._followed), error
            except GlbError:
                raise error from None

    def _opened(self, interface: str, loaded: Loaded, socket: Path, undo: ExitStack) -> Director:
        director = Director(interface, self._sources, loaded, socket, self._lanes.reports, self._path_mtus)
        undo.callback(director.give_up)
        return director

    def _put_in_force(
        self, directors: Sequence[Director], started: float, is_first: bool = True, whole: bool = False
    ) -> list[LoadResult]:
        """Put the newest good files in force at these interfaces, and keep them for later starts.

        is_first: whether this is the first try. whole: keep them only if every interface has them.
        """
        before = self.loaded
        prepared = [(director, self._prepared(director)) for director in directors]
        commit = partial(self.forwarding.commit, prepared, self._newest.digest, started, is_first)
        results = self._lanes.traffic.call("reload", commit)
        if (all if whole else any)(result.reloaded for result in results):
            self._remember()
            self._log_load(before, is_first)
        ended = time.monotonic()
        self._retry_at = ended + _PAUSE_BY_TRY * (ended - started)
        return results

    def _prepared(self, director: Director) -> Prepared | Exception:
        try:
            return director.prepare(self._newest)
        except SURVIVED as error:
            return error

    def _warn(self, loaded: Loaded) -> None:
        """Log what is doubtful about files that are good enough to be loaded: each doubt once, while it lasts."""
        for line in loaded.warnings:
            if line not in self._warned:
                log.warning("loaded, with a warning: %s", line)
        self._warned = loaded.warnings

    def _followed(self, newer: Sequence[ForwardingTables], source: IPv4Address, mtu: int | None) -> HealthView:
        """The health of newer tables' backends. Those in force are checked as well: they may have to go on."""
        in_force = self.forwarding.in_force if self._directors else []
        self._checked = without_repetition([*newer, *in_force])
        self._view = self._follow(self._checked, source, mtu)
        return self._view

    def _check_what_is_in_force(self) -> None:
        """Have those backends checked, and no others, to which an interface sends packets now."""
        wanted = without_repetition(self.forwarding.in_force)
        if wanted != self._checked:
            self._checked = wanted
            config = self.loaded.config
            self._view = self._follow(wanted, config.outbound_src_ip, config.mtu)

    def _remember(self) -> None:
        """Keep what is in force, as a version and for the next start. Traffic does not depend on it: a failure is
        logged."""
        self._copies.keep(self.loaded.contents)
        try:
            source, digest = self.loaded.source, self.loaded.tables_digest
            self.version = self.history.record(source, digest, self._origin, self._read_at)
        except HistoryError as error:
            self.version = None
            log.error("history: this version is not kept, traffic goes on: %s", error)

    def _log_load(self, before: Loaded, is_first: bool) -> None:
        """Log what was changed, by whom and how; the author of an edit that was announced is known to the history."""
        now = self.loaded
        is_version = self.version is not None and self.version.digest == now.tables_digest != before.tables_digest
        cause = self.version if is_version and self.version else self._origin
        changed = describe_changes(before.tables, now.tables)
        if before.contents.config != now.contents.config:
            changed += f"; {self._sources.config.name} changed"
        note = f": {cause.note}" if cause.note else ""
        again = "" if is_first else "at another try, "
        log.info("loaded (%s%s, %s%s): %s", again, cause.how, cause.author, note, changed)

    def _reject(self, error: Exception) -> list[LoadResult]:
        self._seen = self._digest_now()
        return self._lanes.traffic.call("refusal", partial(self.forwarding.reject, error, self._seen))

    def _digest_now(self) -> str | None:
        try:
            return self._sources.contents().digest
        except GlbError:
            return None
