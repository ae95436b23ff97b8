"""One interface's director: what is loaded there, what is attached, and what it has around it."""

import logging
import time
from pathlib import Path

from glb.daemon.process import ProcessId
from glb.daemon.report import Report, now
from glb.daemon.reporter import Reporter
from glb.datapath.attachment import Attachment
from glb.datapath.content import Surroundings
from glb.datapath.director import DirectorDatapath
from glb.datapath.layout import Layout
from glb.director.self_test import self_test
from glb.director.sources import Loaded, Sources
from glb.errors import GlbError
from glb.network.interface import find_interface
from glb.network.next_hops import resolve

log = logging.getLogger(__name__)

_NEXT_HOP_SECONDS = 1.0  # that a start or a reload waits for neighbours to answer


class Director:
    """The datapath of one interface, and the neighbours that it follows. Not for two threads at once."""

    def __init__(self, interface: str, sources: Sources, loaded: Loaded, socket: Path) -> None:
        """Load the program, or find that what runs on the interface is the same; nothing is changed yet.

        Raises NetworkError or DatapathError.
        """
        self._attachment = Attachment(find_interface(interface))
        try:
            surroundings = self._look_around(loaded, _NEXT_HOP_SECONDS)
            self._datapath = _adopted(self._attachment, loaded.layout) or DirectorDatapath.load(loaded.layout)
        except BaseException:
            self._attachment.leave()
            raise
        self._reporter = Reporter(
            Report(
                role="director",
                interface=interface,
                process=ProcessId.own(),
                started=now(),
                table_file=str(sources.table.resolve()),
                config_file=str(sources.config.resolve()),
                socket=str(socket),
            )
        )
        self._wanted = self._loaded = loaded
        self._surroundings = surroundings

    @property
    def report(self) -> Report:
        return self._reporter.report

    @property
    def interface(self) -> str:
        return self.report.interface

    def attach(self, started: float) -> None:
        """Take the interface's packets with the tables, in the place of whatever an earlier daemon left.

        started: when this load began, by time.monotonic(). Raises DatapathError.
        """
        written = self._datapath.write(self._loaded.layout, self._loaded.config, self._surroundings)
        self._attachment.put(self._datapath.program)
        log.info("%s: %s", self.interface, _describe_start(self._datapath.is_adopted, written))
        self._in_use(self._loaded, self._surroundings, started)

    def apply(self, loaded: Loaded, started: float) -> None:
        """Put tables and configuration in the place of those that are in use.

        started: when this load began, by time.monotonic().

        Raises NetworkError or DatapathError; the old ones then go on, until another look around succeeds.
        """
        self._wanted = loaded
        surroundings = self._look_around(loaded, _NEXT_HOP_SECONDS)
        self._write(loaded, surroundings)
        self._in_use(loaded, surroundings, started)

    def apply_health(self, loaded: Loaded, started: float) -> None:
        """Put tables that differ by their backends' health only in the place of those that are in use.

        started: when they began to be built, by time.monotonic().

        It does not wait for neighbours, of whom one may have just died. Where the rows are the same, nothing is
        written. Raises DatapathError; the old tables then go on, until another look around succeeds.
        """
        if self._wanted is not self._loaded:  # what could not be written before comes with all that belongs to it
            self._wanted = loaded
            self.look_around()
            return
        self._wanted = loaded
        self._write(loaded, self._surroundings)
        self._loaded = loaded
        times = self.report.health_times.with_one(time.monotonic() - started)
        self._reporter.change(tables=loaded.summary(), health_times=times)

    def reject(self, error: GlbError, digest: str | None) -> None:
        """Note that files with this digest were refused; None: they cannot be read."""
        self._reporter.change(rejected_digest=digest, error=str(error))
        for line in str(error).splitlines():
            log.error("%s: not reloaded, the old tables go on: %s", self.interface, line)

    def look_around(self) -> None:
        """Take over what has changed around the director: its interface's addresses and MTU, next hops' MACs, or all of
        the interface, which may vanish and come back."""
        self._reporter.catch_up()
        try:
            self._follow(self._look_around(self._wanted, 0))
        except GlbError as error:
            self._reporter.change_trouble(str(error))
        else:
            self._reporter.change_trouble(None)

    def self_test(self) -> None:
        """Raise DatapathError if what is attached fails a test packet."""
        self_test(self._attachment.interface, self._surroundings.mac, self._loaded.tables, self._loaded.config)

    def detach(self) -> None:
        """Take the program off the interface and remove every trace."""
        self._attachment.remove()
        self._datapath.close()
        self._reporter.remove()

    def leave(self) -> None:
        """Let the datapath go on without this process."""
        self._attachment.leave()
        self._datapath.close()

    def give_up(self) -> None:
        """Undo what this process has done: an earlier daemon's datapath stays, a new one goes."""
        if self._attachment.is_new:
            self.detach()
        else:
            self.leave()

    def _look_around(self, loaded: Loaded, wait: float) -> Surroundings:
        interface = find_interface(self._attachment.interface.name)
        backends = {backend.address for backend in loaded.layout.backends}
        gateway = loaded.config.gateway_mac
        next_hops = dict.fromkeys(backends, gateway) if gateway else resolve(interface, backends, wait)
        return Surroundings(interface.mac, loaded.config.mtu or interface.mtu, next_hops)

    def _follow(self, surroundings: Surroundings) -> None:
        started = time.monotonic()
        if self._wanted is not self._loaded:
            self._write(self._wanted, surroundings)
            self._in_use(self._wanted, surroundings, started)
        elif surroundings != self._surroundings:
            self._write(self._loaded, surroundings)
            self._note_surroundings(surroundings)
        if self._attachment.follow(find_interface(self.interface), self._datapath.program):
            log.warning("%s: attached to the interface that has come back", self.interface)

    def _write(self, loaded: Loaded, surroundings: Surroundings) -> None:
        if self._datapath.capacity.holds(loaded.layout):
            self._datapath.write(loaded.layout, loaded.config, surroundings)
            return
        larger = _filled(loaded, surroundings)
        self._attachment.put(larger.program)
        self._datapath.close()
        self._datapath = larger

    def _in_use(self, loaded: Loaded, surroundings: Surroundings, started: float) -> None:
        self._loaded = loaded
        seconds = round(time.monotonic() - started, 6)
        self._reporter.change(
            digest=loaded.digest,
            tables_digest=loaded.tables_digest,
            loaded=now(),
            load_seconds=seconds,
            load_times=self.report.load_times.with_one(seconds),
            rejected_digest=None,
            error=None,
            tables=loaded.summary(),
            traffic=tuple((*owner, entry) for owner, entry in self._datapath.traffic_entries().items()),
        )
        log.info("%s: loaded %s", self.interface, loaded.describe())
        self._note_surroundings(surroundings)

    def _note_surroundings(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        backends = {backend.address for backend in self._loaded.layout.backends}
        unknown = tuple(str(address) for address in sorted(backends - surroundings.next_hops.keys()))
        if unknown and unknown != self.report.unreachable:
            log.warning("%s: no next hop is known yet to %s", self.interface, ", ".join(unknown))
        self._reporter.change(unreachable=unknown)


def _adopted(attachment: Attachment, layout: Layout) -> DirectorDatapath | None:
    """What an earlier daemon left at work, if it is the program of this version and has room for the layout."""
    running = attachment.running_program()
    datapath = None if running is None else DirectorDatapath.adopt(running)
    if datapath is None or datapath.capacity.holds(layout):
        return datapath
    datapath.close()
    return None


def _describe_start(is_adopted: bool, written: bool) -> str:
    if not is_adopted:
        return "a new program"
    return "the running program goes on, " + ("with other tables" if written else "its tables are as they should be")


def _filled(loaded: Loaded, surroundings: Surroundings) -> DirectorDatapath:
    datapath = DirectorDatapath.load(loaded.layout)
    try:
        datapath.write(loaded.layout, loaded.config, surroundings)
    except BaseException:
        datapath.close()
        raise
    return datapath
