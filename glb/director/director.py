"""One interface's director: what is loaded, what is attached, and what becomes of a reload."""

import logging

from glb.daemon.process import ProcessId
from glb.daemon.report import Report, now
from glb.datapath.attachment import Attachment
from glb.datapath.director import DirectorDatapath, Surroundings
from glb.director.sources import Loaded, Sources, read
from glb.errors import GlbError
from glb.network.interface import find_interface
from glb.network.next_hops import resolve
from glb.table.builder import RowBuilder

log = logging.getLogger(__name__)

_NEXT_HOP_SECONDS = 1.0  # that a start or a reload waits for neighbours to answer


class Director:
    """The datapath of one interface, and the files and neighbours that it follows. Not for two threads at once."""

    def __init__(self, interface: str, sources: Sources) -> None:
        """Read the files, fill the tables and attach; nothing is attached if anything is wrong.

        Raises ConfigError, TableError, NetworkError or DatapathError.
        """
        self._sources = sources
        self._builder = RowBuilder()
        loaded = read(sources, self._builder)
        self._attachment = Attachment(find_interface(interface))
        try:
            surroundings = self._look_around(loaded, _NEXT_HOP_SECONDS)
            self._datapath = _filled(loaded, surroundings)
            self._attachment.put(self._datapath.program)
        except BaseException:
            self._attachment.leave()
            raise
        self.report = Report(
            role="director",
            interface=interface,
            process=ProcessId.own(),
            started=now(),
            table_file=str(sources.table.resolve()),
            config_file=str(sources.config.resolve()),
        )
        self._in_use(loaded, surroundings)

    def reload(self) -> None:
        """Put the files as they are now in the place of what is loaded; bad ones change nothing but the report."""
        try:
            loaded = read(self._sources, self._builder)
            surroundings = self._look_around(loaded, _NEXT_HOP_SECONDS)
            self._apply(loaded, surroundings)
        except GlbError as error:
            self._rejected(error)
        else:
            self._in_use(loaded, surroundings)

    def reload_if_changed(self) -> None:
        """The same, unless the files are what was last loaded or refused."""
        try:
            digest = self._sources.digest()
        except GlbError as error:
            self._rejected(error)
            return
        if digest not in (self.report.digest, self.report.rejected_digest):
            self.reload()

    def look_around(self) -> None:
        """Take over what has changed around the director: its interface's addresses and MTU, next hops' MACs."""
        try:
            surroundings = self._look_around(self._loaded, 0)
            if surroundings != self._surroundings:
                self._apply(self._loaded, surroundings)
                self._note_surroundings(surroundings)
        except GlbError as error:
            log.error("%s: %s", self.report.interface, error)

    def detach(self) -> None:
        """Take the program off the interface and remove every trace."""
        self._attachment.remove()
        self._datapath.close()
        self.report.remove()

    def leave(self) -> None:
        """Let the datapath go on without this process."""
        self._attachment.leave()
        self._datapath.close()

    def _look_around(self, loaded: Loaded, wait: float) -> Surroundings:
        interface = find_interface(self._attachment.interface.name)
        backends = {backend.address for backend in loaded.layout.backends}
        gateway = loaded.config.gateway_mac
        next_hops = dict.fromkeys(backends, gateway) if gateway else resolve(interface, backends, wait)
        return Surroundings(interface.mac, loaded.config.mtu or interface.mtu, next_hops)

    def _apply(self, loaded: Loaded, surroundings: Surroundings) -> None:
        if self._datapath.capacity.holds(loaded.layout):
            self._datapath.write(loaded.layout, loaded.config, surroundings)
            return
        larger = _filled(loaded, surroundings)
        self._attachment.put(larger.program)
        self._datapath.close()
        self._datapath = larger

    def _in_use(self, loaded: Loaded, surroundings: Surroundings) -> None:
        self._loaded = loaded
        self.report = self.report.changed(
            digest=loaded.digest,
            loaded=now(),
            rejected_digest=None,
            error=None,
            tables=loaded.summary(),
            traffic=tuple((*owner, entry) for owner, entry in self._datapath.traffic_entries().items()),
        )
        log.info("%s: loaded %s", self.report.interface, loaded.describe())
        self._note_surroundings(surroundings)

    def _note_surroundings(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        backends = {backend.address for backend in self._loaded.layout.backends}
        unknown = tuple(str(address) for address in sorted(backends - surroundings.next_hops.keys()))
        if unknown and unknown != self.report.unreachable:
            log.warning("%s: no next hop is known yet to %s", self.report.interface, ", ".join(unknown))
        self.report = self.report.changed(unreachable=unknown)
        self.report.write()

    def _rejected(self, error: GlbError) -> None:
        try:
            digest = self._sources.digest()
        except GlbError:
            digest = None
        self.report = self.report.changed(rejected_digest=digest, error=str(error))
        self.report.write()
        for line in str(error).splitlines():
            log.error("%s: not reloaded, the old tables go on: %s", self.report.interface, line)


def _filled(loaded: Loaded, surroundings: Surroundings) -> DirectorDatapath:
    datapath = DirectorDatapath.load(loaded.layout)
    try:
        datapath.write(loaded.layout, loaded.config, surroundings)
    except BaseException:
        datapath.close()
        raise
    return datapath
