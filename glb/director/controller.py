"""The director daemon's work: files in, the same tables on each of its interfaces, and an account of it."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from glb.config.model import NO_TABLES, ForwardingTables
from glb.daemon.report import HeldBackend
from glb.director.director import Director
from glb.director.sources import Follow, Loaded, Sources, check_tables, read
from glb.errors import GlbError
from glb.health.plan import without_repetition
from glb.health.view import HealthView
from glb.history.store import History
from glb.history.version import HistoryError, How, Origin, Version
from glb.network.interface import find_interface
from glb.table.builder import RowBuilder
from glb.table.model import BuiltTable

log = logging.getLogger(__name__)

_STARTED = Origin(How.START, "the daemon")
_EDITED = Origin()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether an interface's datapath has the files as they are now; if not, why not."""

    interface: str
    reloaded: bool
    error: str | None = None


class Controller:
    """The datapaths of one daemon, all with the same tables. Not for two threads at once; its methods block."""

    def __init__(self, interfaces: Sequence[str], sources: Sources, socket: Path, follow: Follow) -> None:
        """Read the files, fill the tables and attach; nothing is attached if anything is wrong.

        `follow` tells the backends' health, once it knows it. Raises ConfigError, TableError, NetworkError or
        DatapathError.
        """
        started = time.monotonic()
        for interface in interfaces:
            find_interface(interface)  # before backends are asked for their health: without it there is nothing to do
        self._sources = sources
        self._follow = follow
        self._view = HealthView()
        self._builder = RowBuilder()
        self._checked: tuple[ForwardingTables, ...] = ()
        self.directors: list[Director] = []
        loaded = read(sources, self._builder, self._followed)
        self._newest = loaded.digest  # of the newest good files
        self._seen: str | None = loaded.digest  # of the files as they were seen last; None: they could not be read
        self._origin = _STARTED
        self.history = History.of(sources.table)
        self.version: Version | None = None
        with ExitStack() as undo:
            self.directors = [self._prepared(interface, loaded, socket, undo) for interface in interfaces]
            for director in self.directors:
                director.attach(started)
            undo.pop_all()
        self._remember()

    @property
    def loaded(self) -> Loaded:
        """What is in force: the newest files, as soon as an interface has them, or else those before."""
        in_force = [director.loaded for director in self.directors]
        return next((loaded for loaded in in_force if loaded.digest == self._newest), in_force[0])

    @property
    def table(self) -> Path:
        """The file of the forwarding tables."""
        return self._sources.table

    def build(self, data: bytes, name: str) -> tuple[BuiltTable, ...]:
        """The tables of a source that is not loaded; `name` is its file's, for the messages.

        Backends that are known are as healthy as they are now. Raises ConfigError or TableError.
        """
        return check_tables(data, name, self._builder, self._view)

    def reload(self, origin: Origin = _EDITED) -> list[Outcome]:
        """Put the files as they are now in the place of what is loaded; bad ones change nothing but the reports.

        origin: what the history says of these tables.
        """
        started = time.monotonic()
        try:
            loaded = read(self._sources, self._builder, self._followed)
        except GlbError as error:
            outcomes = self._reject(error)
        else:
            self._newest = self._seen = loaded.digest
            self._origin = origin
            outcomes = [self._apply(director, loaded, started) for director in self.directors]
            if any(outcome.reloaded for outcome in outcomes):
                self._remember()
        self._check_what_is_in_force()
        return outcomes

    def reload_if_changed(self) -> None:
        """The same, unless the files are as they were seen last."""
        try:
            digest = self._sources.digest()
        except GlbError as error:
            self._reject(error)
            return
        if digest != self._seen:
            self.reload()

    def set_health(self, view: HealthView) -> None:
        """Give new connections to the backends that are healthy now."""
        if view is self._view:
            return
        self._view = view
        started = time.monotonic()
        renew = self._renewal(view)
        for director in self.directors:
            try:
                director.apply_health(renew, started)
            except GlbError as error:
                log.error("%s: health: the old tables go on: %s", director.interface, error)

    def look_around(self) -> None:
        """Take over what has changed around the interfaces, and files that could not be taken over before."""
        before = {director.loaded.digest for director in self.directors}
        for director in self.directors:
            director.look_around()
        if before == {director.loaded.digest for director in self.directors}:
            return
        if self.loaded.digest not in before:
            self._remember()
        self._check_what_is_in_force()

    def note_metrics(self, places: tuple[str, ...], trouble: str | None) -> None:
        """Tell in each report where the metrics exporter answers, or why it does not."""
        for director in self.directors:
            director.note_metrics(places, trouble)

    def note_held(self, held: tuple[HeldBackend, ...], cut_off: tuple[str, ...]) -> None:
        """Report which backends are kept up against their checks, and of which tables none is reached."""
        for director in self.directors:
            director.note_held(held, cut_off)

    def self_test(self) -> None:
        """Raise DatapathError if an interface's datapath fails a test packet."""
        for director in self.directors:
            director.self_test()

    def detach(self) -> None:
        """Take the programs off the interfaces and remove every trace."""
        for director in self.directors:
            director.detach()

    def leave(self) -> None:
        """Let the datapaths go on without this process."""
        for director in self.directors:
            director.leave()

    def give_up(self) -> None:
        """Undo what this process has done: earlier daemons' datapaths stay, new ones go."""
        for director in self.directors:
            director.give_up()

    def _followed(self, newer: Sequence[ForwardingTables], source: IPv4Address) -> HealthView:
        """The health of newer tables' backends. Those in force are checked as well: they may have to go on."""
        self._checked = without_repetition([*newer, *self._in_force()])
        self._view = self._follow(self._checked, source)
        return self._view

    def _check_what_is_in_force(self) -> None:
        """Have those backends checked, and no others, to which an interface sends packets now.

        What that changes comes by `set_health`.
        """
        wanted = without_repetition(self._in_force())
        if wanted != self._checked:
            self._checked = wanted
            self._follow(wanted, self.loaded.config.outbound_src_ip)

    def _in_force(self) -> list[ForwardingTables]:
        return [director.loaded.given or NO_TABLES for director in self.directors]

    def _renewal(self, view: HealthView) -> Callable[[Loaded], Loaded]:
        """What gives files that were loaded that health, and the same files to each interface that has them."""
        renewed: dict[str, Loaded] = {}

        def renew(loaded: Loaded) -> Loaded:
            if loaded.digest not in renewed:
                renewed[loaded.digest] = loaded.with_health(view, self._builder)
            return renewed[loaded.digest]

        return renew

    def _prepared(self, interface: str, loaded: Loaded, socket: Path, undo: ExitStack) -> Director:
        director = Director(interface, self._sources, loaded, socket)
        undo.callback(director.give_up)
        return director

    def _apply(self, director: Director, loaded: Loaded, started: float) -> Outcome:
        try:
            director.apply(loaded, started)
        except GlbError as error:
            director.reject(error, loaded.digest)
            return Outcome(director.interface, False, str(error))
        return Outcome(director.interface, True)

    def _remember(self) -> None:
        """Keep what is loaded as a version. Traffic matters more than its history: a failure is told, and no more."""
        try:
            self.version = self.history.record(self.loaded.source, self._origin)
        except HistoryError as error:
            self.version = None
            log.error("history: this version is not kept, traffic goes on: %s", error)

    def _reject(self, error: GlbError) -> list[Outcome]:
        self._seen = self._digest_now()
        for director in self.directors:
            director.reject(error, self._seen)
        return [Outcome(director.interface, False, str(error)) for director in self.directors]

    def _digest_now(self) -> str | None:
        try:
            return self._sources.digest()
        except GlbError:
            return None
