"""`glbctl director run`: attach, serve, reload, detach."""

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from watchfiles import awatch

from glb.daemon.lifecycle import on_signal, stop_event, tell_ready, tell_stopping, work_off
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, now
from glb.datapath.attachment import Attachment, Interface, find_interface
from glb.datapath.director import DirectorDatapath, Surroundings
from glb.director.sources import Loaded, Sources, read
from glb.errors import GlbError

log = logging.getLogger(__name__)

_LOOK_MS = 1000


class Director:
    """One interface's datapath and the files that it follows."""

    def __init__(self, interface: str, sources: Sources) -> None:
        """Read the files, fill the tables and attach; nothing is attached if anything is wrong.

        Raises ConfigError, TableError or DatapathError.
        """
        loaded = read(sources)
        self._sources = sources
        self._attachment = Attachment(find_interface(interface))
        try:
            self._datapath = self._filled(loaded)
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
        self._loaded(loaded)

    def reload(self) -> None:
        """Put the files as they are now in the place of what is loaded; bad ones change nothing but the report."""
        try:
            loaded = read(self._sources)
            self._apply(loaded)
        except GlbError as error:
            self._rejected(error)
        else:
            self._loaded(loaded)

    def reload_if_changed(self) -> None:
        """The same, unless the files are what was last loaded or refused."""
        try:
            digest = self._sources.digest()
        except GlbError as error:
            self._rejected(error)
            return
        if digest not in (self.report.digest, self.report.rejected_digest):
            self.reload()

    def detach(self) -> None:
        """Take the program off the interface and remove every trace."""
        self._attachment.remove()
        self._datapath.close()
        self.report.remove()

    def leave(self) -> None:
        """Let the datapath go on without this process."""
        self._attachment.leave()
        self._datapath.close()

    def _filled(self, loaded: Loaded) -> DirectorDatapath:
        datapath = DirectorDatapath.load(loaded.layout)
        try:
            self._write(datapath, loaded)
        except BaseException:
            datapath.close()
            raise
        return datapath

    def _write(self, datapath: DirectorDatapath, loaded: Loaded) -> None:
        interface = find_interface(self._attachment.interface.name)
        datapath.write(loaded.layout, loaded.config, surroundings(interface, loaded))

    def _apply(self, loaded: Loaded) -> None:
        if self._datapath.capacity.holds(loaded.layout):
            self._write(self._datapath, loaded)
            return
        larger = self._filled(loaded)
        self._attachment.put(larger.program)
        self._datapath.close()
        self._datapath = larger

    def _loaded(self, loaded: Loaded) -> None:
        self.report = self.report.changed(
            digest=loaded.digest, loaded=now(), rejected_digest=None, error=None, tables=loaded.summary()
        )
        self.report.write()
        log.info("%s: loaded %s", self.report.interface, describe(loaded))

    def _rejected(self, error: GlbError) -> None:
        try:
            digest = self._sources.digest()
        except GlbError:
            digest = None
        self.report = self.report.changed(rejected_digest=digest, error=str(error))
        self.report.write()
        for line in str(error).splitlines():
            log.error("%s: not reloaded, the old tables go on: %s", self.report.interface, line)


def surroundings(interface: Interface, loaded: Loaded) -> Surroundings:
    """What the datapath must know beside the files."""
    gateway = loaded.config.gateway_mac
    assert gateway is not None
    next_hops = {backend.address: gateway for backend in loaded.layout.backends}
    return Surroundings(interface.mac, loaded.config.mtu or interface.mtu, next_hops)


Reloads: TypeAlias = "asyncio.Queue[Callable[[Director], None]]"


def describe(loaded: Loaded) -> str:
    """Such as "1 table (web: 4 binds, 3 backends)"."""
    tables = "; ".join(
        f"{table.name}: {len(table.binds)} binds, {len(table.backends)} backends" for table in loaded.tables
    )
    count = len(loaded.tables)
    return f"{count} table{'s' if count != 1 else ''} ({tables})"


async def run(interface: str, config: Path, table: Path, keep: bool) -> None:
    """Serve until SIGTERM or SIGINT. With keep, the datapath stays attached afterwards.

    Raises what Director raises, before anything is attached. Should this process fail later, the datapath stays as
    well: traffic must not suffer for it.
    """
    stop = stop_event()
    reloads: Reloads = asyncio.Queue()
    on_signal(lambda: reloads.put_nowait(Director.reload), signal.SIGHUP)  # from now on: unheard, it would end us
    sources = Sources(config, table)
    director = await asyncio.to_thread(Director, interface, sources)
    try:
        tell_ready(f"attached to {interface}")
        log.info("%s: director ready", interface)
        await _follow(director, sources, reloads, stop)
    except BaseException:
        await asyncio.to_thread(director.leave)
        raise
    tell_stopping()
    await asyncio.to_thread(director.leave if keep else director.detach)
    log.info("%s: %s", interface, "stopped; the datapath stays attached" if keep else "detached")


async def _follow(director: Director, sources: Sources, reloads: Reloads, stop: asyncio.Event) -> None:
    """Reload as is asked for and whenever one of the files changes, one reload after the other, until stop is set."""
    async with asyncio.TaskGroup() as duties:
        duties.create_task(_watch(sources, lambda: reloads.put_nowait(Director.reload_if_changed), stop))
        worker = duties.create_task(work_off(director, reloads))
        await stop.wait()
        worker.cancel()


async def _watch(sources: Sources, changed: Callable[[], None], stop: asyncio.Event) -> None:
    """Call `changed` whenever one of the files has changed, until stop is set.

    And each second, for what goes unseen: a change before the watch has begun, or in a folder that was moved in.
    """
    changes = awatch(
        *sources.folders(),
        watch_filter=lambda _, path: sources.concerns(path),
        stop_event=stop,
        step=20,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        recursive=False,
    )
    async for _ in changes:
        changed()
