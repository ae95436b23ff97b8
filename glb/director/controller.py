# SPDX-License-Identifier: MIT
"""Loads of the director daemon: reads the files, builds the tables, puts them in force, and records the result."""

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from glb.config.model import Address, ForwardingTables
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
from glb.table.findings import PlanFinding
from glb.table.health_findings import losses_if_down
from glb.table.model import BuiltTable
from glb.table.row_builder import row_builder

log = logging.getLogger(__name__)

_STARTED = Origin(LoadCause.START, "the daemon")
_EDITED = Origin()
_PAUSE_BY_TRY = 9  # an attempt that loads a program takes seconds of CPU time
_FLUSH_SECONDS = 1.0


class Controller:
    """Loads files for all interfaces of a daemon. Belongs to the lane `loads`: its methods may take long.

    The tables in force belong to `forwarding`, in the lane `traffic`.
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
        """Read the files, fill the tables and attach.

        If the files are refused, copies of the files that were in force last are used, if there are any. follow: makes
        the monitor check the tables' backends. Raises ConfigError, TableError, NetworkError or DatapathError; then
        nothing is attached.
        """
        started = time.monotonic()
        for interface in interfaces:
            find_interface(interface)  # fails early, before backends are checked
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
        self._newest = loaded  # the newest valid files
        self._seen: str | None = loaded.digest  # of the files when last read; None: they could not be read
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
            log.error(
                "the files are refused; starting with copies of the files that were in force last, from %s",
                self._copies.sources.table.parent,
            )
            self._seen = self._digest_now()
            self.forwarding.reject(refusal, self._seen)
        lanes.traffic.post_once("copy of the rows", self._copy_ahead)

    @property
    def loaded(self) -> Loaded:
        """The files in force."""
        return self.forwarding.loaded

    @property
    def reports(self) -> list[Report]:
        """The status of each interface."""
        return [director.report for director in self._directors]

    @property
    def table(self) -> Path:
        """The table file."""
        return self._sources.table

    def build(self, data: bytes, name: str) -> tuple[BuiltTable, ...]:
        """The tables of a source that is not loaded. name: its file's name, for messages.

        Known backends have their present health. Changes nothing, and may be called in any thread. Raises ConfigError
        or TableError.
        """
        return check_tables(data, name, self._builder, self._view)

    def losses_if_down(self, loaded: Loaded, table: str, address: Address) -> tuple[PlanFinding, ...]:
        """As health_findings.losses_if_down, of files that are or were loaded. May be called in any thread."""
        return losses_if_down(loaded.tables, table, address, self._builder)

    def reload(self, origin: Origin = _EDITED, whole: bool = False) -> list[LoadResult]:
        """Load the present files. If they are refused, only the status changes.

        origin: cause and author for the history. whole: the caller reverts the change unless every interface has loaded
        it; only then it becomes a version.
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
        """Reload if the files have changed since they were last read."""
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
        """Retry to put the newest valid files in force at the interfaces where that failed."""
        behind = [director for director in self._directors if director.loaded.digest != self._newest.digest]
        if not behind or time.monotonic() < self._retry_at:
            return
        if any(result.reloaded for result in self._put_in_force(behind, time.monotonic(), is_first=False)):
            self._check_what_is_in_force()

    def detach(self) -> None:
        """Detach the programs, and remove all pins and files."""
        self.forwarding.detach()

    def leave(self) -> None:
        """Leave the datapaths attached when this process exits."""
        self.forwarding.leave()

    def give_up(self) -> None:
        """Revert a failed start: leave earlier daemons' datapaths attached, and remove new ones."""
        self.forwarding.give_up()

    def _first(self, sources: Sources) -> tuple[Loaded, Exception | None]:
        """The files; or copies of the files that were in force last, and why the files are refused."""
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
        """Put the newest valid files in force at these interfaces, and record them as a version.

        is_first: whether this is the first attempt. whole: record them only if every interface has them.
        """
        before = self.loaded
        prepared = [(director, self._prepared(director)) for director in directors]
        commit = partial(self.forwarding.commit, prepared, self._newest.digest, started, is_first)
        results = self._lanes.traffic.call("reload", commit)
        if (all if whole else any)(result.reloaded for result in results):
            self._remember()
            self._log_load(before, is_first)
            self._lanes.traffic.post_once("copy of the rows", self._copy_ahead)
        ended = time.monotonic()
        self._retry_at = ended + _PAUSE_BY_TRY * (ended - started)
        return results

    def _copy_ahead(self) -> None:
        """Runs in the lane `traffic`, step by step: other actions come in between."""
        if self.forwarding.copy_ahead():
            self._lanes.traffic.post_once("copy of the rows", self._copy_ahead)

    def _prepared(self, director: Director) -> Prepared | Exception:
        try:
            return director.prepare(self._newest)
        except SURVIVED as error:
            return error

    def _warn(self, loaded: Loaded) -> None:
        """Log the warnings about files that are loaded: each warning once, while it applies."""
        for line in loaded.warnings:
            if line not in self._warned:
                log.warning("loaded, with a warning: %s", line)
        self._warned = loaded.warnings

    def _followed(self, newer: Sequence[ForwardingTables], source: IPv4Address, mtu: int | None) -> HealthView:
        """Follow newer tables and return their health. The tables in force are checked as well: they may stay in
        force."""
        in_force = self.forwarding.in_force if self._directors else []
        self._checked = without_repetition([*newer, *in_force])
        self._view = self._follow(self._checked, source, mtu)
        return self._view

    def _check_what_is_in_force(self) -> None:
        """Check only the backends of tables that are in force at an interface."""
        wanted = without_repetition(self.forwarding.in_force)
        if wanted != self._checked:
            self._checked = wanted
            config = self.loaded.config
            self._view = self._follow(wanted, config.outbound_src_ip, config.mtu)

    def _remember(self) -> None:
        """Record the files in force as a version, and keep copies for the next start. A failure is only logged."""
        self._copies.keep(self.loaded.contents)
        try:
            source, digest = self.loaded.source, self.loaded.tables_digest
            self.version = self.history.record(source, digest, self._origin, self._read_at)
        except HistoryError as error:
            self.version = None
            log.error("history: this version is not recorded, forwarding continues: %s", error)

    def _log_load(self, before: Loaded, is_first: bool) -> None:
        """Log the changes, their author and cause. The history knows the author of a change that was declared to it."""
        now = self.loaded
        is_version = self.version is not None and self.version.digest == now.tables_digest != before.tables_digest
        cause = self.version if is_version and self.version else self._origin
        changed = describe_changes(before.tables, now.tables)
        if before.contents.config != now.contents.config:
            changed += f"; {self._sources.config.name} changed"
        note = f": {cause.note}" if cause.note else ""
        again = "" if is_first else "at a retry, "
        log.info("loaded (%s%s, %s%s): %s", again, cause.how, cause.author, note, changed)

    def _reject(self, error: Exception) -> list[LoadResult]:
        self._seen = self._digest_now()
        return self._lanes.traffic.call("refusal", partial(self.forwarding.reject, error, self._seen))

    def _digest_now(self) -> str | None:
        try:
            return self._sources.contents().digest
        except GlbError:
            return None
