# SPDX-License-Identifier: MIT
"""The director of one interface: its loaded files, its attached program, and its next hops."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glb.config.model import Egress
from glb.daemon.lane import Lane
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, now
from glb.daemon.reporter import Reporter
from glb.datapath.attachment import Attachment
from glb.datapath.director import DirectorDatapath
from glb.datapath.generation import NetworkView
from glb.datapath.layout import Layout
from glb.director.self_test import self_test
from glb.director.sources import Loaded, Sources
from glb.errors import GlbError
from glb.network.interface import find_interface
from glb.network.next_hops import Paths, resolve
from glb.network.path_mtu import PathMtus
from glb.network.refusal import news
from glb.network.vlans import vlan_devices
from glb.table.bind_changes import new_binds

log = logging.getLogger(__name__)

_NEXT_HOP_SECONDS = 1.0  # how long a start or a reload waits for neighbours to respond


@dataclass(frozen=True, slots=True)
class Prepared:
    """Files that are ready to be put in force at one interface.

    larger: a filled program with larger maps, if the tables do not fit into those of the attached one; otherwise None.
    added: the binds, as (table, bind), that do not overlap any bind of the present tables.
    """

    loaded: Loaded
    surroundings: NetworkView
    larger: DirectorDatapath | None
    added: tuple[tuple[str, str], ...]


Renew = Callable[[Loaded], Loaded]
"""Returns loaded files with the present health. The result for the same files is the same object."""


class Director:
    """The datapath of one interface, and its neighbours.

    Belongs to the lane `traffic`, and its methods are short; except for `prepare`, which may take long and belongs to
    the lane `loads`.
    """

    def __init__(
        self, interface: str, sources: Sources, loaded: Loaded, socket: Path, reports: Lane, path_mtus: PathMtus
    ) -> None:
        """Load the program, or adopt the attached one if it is the same. Changes nothing yet.

        Raises NetworkError or DatapathError.
        """
        self._path_mtus = path_mtus
        self._attachment = Attachment(find_interface(interface))
        try:
            surroundings = self._find_surroundings(loaded, _NEXT_HOP_SECONDS)
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
                table_file=str(sources.table.absolute()),
                config_file=str(sources.config.absolute()),
                socket=str(socket),
            ),
            reports,
        )
        # The content of the maps, and the same files with the newest health. They are the same object, unless the
        # latter could not be written: the kernel refused it, or the interface is gone.
        self._loaded = self._current = loaded
        self._refusal: str | None = None  # why newer files are not in force
        self._surroundings = surroundings

    @property
    def report(self) -> Report:
        return self._reporter.report

    @property
    def interface(self) -> str:
        return self.report.interface

    @property
    def loaded(self) -> Loaded:
        """The files in force."""
        return self._loaded

    def attach(self, started: float) -> None:
        """Write the tables and attach the program, which replaces that of an earlier daemon.

        started: when this load began, by time.monotonic(). Raises DatapathError.
        """
        written = _write(self._datapath, self._loaded, self._surroundings)
        self._attachment.put(self._datapath.program)
        log.info("%s: %s", self.interface, _describe_start(self._datapath.is_adopted, written))
        self._in_use(self._loaded, self._surroundings, started)

    def prepare(self, loaded: Loaded) -> Prepared:
        """Do the slow part of a load, which changes nothing: find next hops, compile a larger program if needed.

        Raises NetworkError or DatapathError.
        """
        surroundings = self._find_surroundings(loaded, _NEXT_HOP_SECONDS)
        larger = None if self._datapath.capacity.holds(loaded.layout) else _filled(loaded, surroundings)
        return Prepared(loaded, surroundings, larger, new_binds(self._loaded.tables, loaded.tables))

    def commit(self, prepared: Prepared, renew: Renew, started: float) -> None:
        """Put prepared files in force, with the present health.

        started: when this load began, by time.monotonic(). Raises DatapathError; the old tables then stay in force.
        """
        loaded = renew(prepared.loaded)
        known = self.report.new_binds if prepared.larger is None else ()
        if prepared.larger is None:
            _write(self._datapath, loaded, prepared.surroundings)
        else:
            self._replace(prepared.larger, loaded, prepared.surroundings)
        self._in_use(loaded, prepared.surroundings, started, _new_binds(loaded, (*known, *prepared.added)))
        if self.report.trouble is not None:
            self.refresh()

    def apply_health(self, renew: Renew, started: float) -> None:
        """Put the present tables in force with the newest health of their backends.

        started: when this began, by time.monotonic(). Does not wait for neighbours, since one may just have failed. If
        the rows stay the same, nothing is written. Raises TableError or DatapathError; the old tables then stay in
        force until a refresh succeeds.
        """
        self._current = renew(self._current)
        self._renew(self._surroundings)
        times = self.report.health_times.with_one(time.monotonic() - started)
        self._reporter.change(tables=self._loaded.summary(), health_times=times)

    def copy_ahead(self, blocks: int) -> bool:
        """As DirectorDatapath.copy_ahead."""
        return self._datapath.copy_ahead(blocks)

    def reject(self, error: Exception, digest: str | None) -> None:
        """Report that files with this digest were refused. digest: None if they cannot be read."""
        self._reporter.change(rejected_digest=digest, error=str(error))
        for line in str(error).splitlines():
            log.error("%s: not reloaded, the old tables stay in force: %s", self.interface, line)

    def refuse(self, error: Exception, digest: str, is_first: bool) -> None:
        """Report why valid files with this digest could not be put in force here. The daemon retries.

        is_first: whether this was the first attempt.
        """
        self._refusal = str(error) or "out of memory"
        if is_first:
            self.reject(error, digest)
        self.refresh()

    def refresh(self) -> None:
        """Follow the interface's addresses and MTU and the next hops' MACs. The interface may disappear and return."""
        self._reporter.catch_up()
        try:
            self._follow_network()
        except (GlbError, MemoryError) as error:
            self._reporter.change_trouble(str(error))
        else:
            self._reporter.change_trouble(self._refusal)

    def note(self, **facts: Any) -> None:
        """Change fields of the status that the caller determines."""
        self._reporter.note(**facts)

    def note_metrics(self, places: tuple[str, ...], trouble: str | None) -> None:
        """Record in the status where the metrics exporter listens, or why it does not."""
        self._reporter.note(metrics=places, metrics_trouble=trouble)

    def self_test(self) -> None:
        """Raise DatapathError if the attached program fails on a test packet."""
        self_test(self._attachment.interface, self._surroundings, self._loaded.tables, self._loaded.config)

    def detach(self) -> None:
        """Detach the program, and remove all pins and files."""
        self._attachment.remove()
        self._datapath.close()
        self._reporter.remove()

    def leave(self) -> None:
        """Leave the datapath attached when this process exits."""
        self._attachment.leave()
        self._datapath.close()

    def give_up(self) -> None:
        """Revert a failed start: leave an earlier daemon's datapath attached, and remove a new one."""
        if self._attachment.is_new:
            self.detach()
        else:
            self.leave()

    def _find_surroundings(self, loaded: Loaded, wait: float) -> NetworkView:
        interface = find_interface(self._attachment.interface.name)
        backends = {backend.address for backend in loaded.layout.backends}
        gateway = loaded.config.gateway_mac
        mtu = loaded.config.mtu or interface.mtu
        routed = loaded.config.egress is Egress.FIB
        vlans = vlan_devices() if routed else {}
        if gateway:
            paths = Paths(dict.fromkeys(backends, gateway))
        else:
            paths = resolve(interface, backends, wait, loaded.config.outbound_src_ip, any_interface=routed)
        learned = self._path_mtus.current(time.monotonic())
        mtus = {backend: min(paths.mtus.get(backend, mtu), learned.get(backend, mtu)) for backend in backends}
        less = {backend: path_mtu for backend, path_mtu in mtus.items() if path_mtu < mtu}
        return NetworkView(interface.mac, mtu, paths.macs, paths.refusals, vlans, less)

    def _follow_network(self) -> None:
        surroundings = self._find_surroundings(self._current, 0)
        if self._current is not self._loaded or surroundings != self._surroundings:
            self._renew(surroundings)
            self._note_surroundings(surroundings)
            self._reporter.note(tables=self._loaded.summary())
        if cause := self._attachment.follow(find_interface(self.interface), self._datapath.program):
            log.warning("%s: attached again: %s", self.interface, cause)

    def _renew(self, surroundings: NetworkView) -> None:
        """Write the files in force again, with the newest health and these surroundings."""
        _write(self._datapath, self._current, surroundings)
        self._loaded = self._current

    def _replace(self, larger: DirectorDatapath, loaded: Loaded, surroundings: NetworkView) -> None:
        """Attach a larger program in place of the present one."""
        try:
            _write(larger, loaded, surroundings)  # writes nothing unless health has changed meanwhile
            self._attachment.put(larger.program)
        except BaseException:
            larger.close()
            raise
        self._datapath.close()
        self._datapath = larger

    def _in_use(
        self,
        loaded: Loaded,
        surroundings: NetworkView,
        started: float,
        new_binds: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._loaded = self._current = loaded
        self._refusal = None
        seconds = round(time.monotonic() - started, 6)
        self._reporter.change(
            digest=loaded.digest,
            tables_digest=loaded.tables_digest,
            loaded=now(),
            load_seconds=seconds,
            load_times=self.report.load_times.with_one(seconds),
            rejected_digest=None,
            error=None,
            warnings=loaded.warnings,
            tables=loaded.summary(),
            new_binds=new_binds,
            traffic=tuple((*owner, entry) for owner, entry in self._datapath.traffic_entries().items()),
        )
        log.info("%s: loaded %s", self.interface, loaded.describe())
        self._note_surroundings(surroundings)

    def _note_surroundings(self, surroundings: NetworkView) -> None:
        self._surroundings = surroundings
        refusals = {str(address): str(refusal) for address, refusal in sorted(surroundings.refusals.items())}
        for refused in news(refusals, self.report.unreachable):
            log.warning("%s: no next hop to %s", self.interface, refused)
        mtus = {str(address): mtu for address, mtu in sorted(surroundings.mtus.items())}
        for address in mtus.keys() - self.report.path_mtus.keys():
            log.warning(
                "%s: the path MTU to %s is %d bytes, less than the interface's", self.interface, address, mtus[address]
            )
        self._reporter.change(unreachable=refusals, mtu=surroundings.mtu, path_mtus=mtus)


def _adopted(attachment: Attachment, layout: Layout) -> DirectorDatapath | None:
    """The attached program of an earlier daemon, if it is of this version and its maps have room for the layout."""
    running = attachment.running_program()
    datapath = None if running is None else DirectorDatapath.adopt(running)
    if datapath is None or datapath.capacity.holds(layout):
        return datapath
    datapath.close()
    return None


def _describe_start(is_adopted: bool, written: bool) -> str:
    if not is_adopted:
        return "loaded a new program"
    return "adopted the attached program, " + ("and wrote the tables" if written else "whose tables are up to date")


def _new_binds(loaded: Loaded, added: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The binds whose counters cover all their packets: of the added binds, those that are still in the tables.

    The counters of a new program begin at 0 for all binds, but cover only the newest binds completely.
    """
    if not added:
        return ()
    here = {(table.name, str(bind)) for table in loaded.tables for bind in table.binds}
    return tuple(dict.fromkeys(bind for bind in added if bind in here))


def _filled(loaded: Loaded, surroundings: NetworkView) -> DirectorDatapath:
    datapath = DirectorDatapath.load(loaded.layout)
    try:
        _write(datapath, loaded, surroundings)
    except BaseException:
        datapath.close()
        raise
    return datapath


def _write(datapath: DirectorDatapath, loaded: Loaded, surroundings: NetworkView) -> bool:
    return datapath.write(loaded.layout, loaded.config, surroundings, loaded.tables_digest)
