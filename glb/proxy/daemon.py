"""`glbctl proxy run`: attach, serve, detach."""

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path

from glb.config.load import load_proxy
from glb.config.model import ProxyConfig
from glb.daemon.lifecycle import on_signal, stop_event, tell_ready, tell_stopping, work_off
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, now
from glb.datapath.attachment import Attachment
from glb.datapath.mac import UNKNOWN_MAC
from glb.datapath.proxy import ProxyDatapath
from glb.errors import GlbError
from glb.network.interface import find_interface, ipv4_addresses
from glb.network.namespaces import namespace_ids
from glb.network.next_hops import changes, resolve, resolve_gateway

log = logging.getLogger(__name__)

_LOOK_AROUND_SECONDS = 0.5
_GATEWAY_SECONDS = 1.0  # that a start waits for the router to answer


class Proxy:
    """One interface's datapath and the configuration that it follows."""

    def __init__(self, interface: str, config: Path | None) -> None:
        """Read the configuration, load the program and attach it; nothing is attached if anything is wrong.

        Raises ConfigError or DatapathError.
        """
        settings = _read(config)
        self._interface = interface
        self._config = config
        self._attachment = Attachment(find_interface(interface))
        try:
            self._datapath = ProxyDatapath.load()
            self._write(settings, _GATEWAY_SECONDS)
            self._attachment.put(self._datapath.program)
        except BaseException:
            self._attachment.leave()
            raise
        self.report = Report(
            role="proxy",
            interface=interface,
            process=ProcessId.own(),
            started=now(),
            config_file=str(config.resolve()) if config else None,
        )
        self._loaded(settings)

    def reload(self) -> None:
        """Put the configuration as it is now in the place of the old one; a bad one changes nothing but the report."""
        try:
            settings = _read(self._config)
            self._write(settings)
        except GlbError as error:
            self.report = self.report.changed(error=str(error))
            self.report.write()
            for line in str(error).splitlines():
                log.error("%s: not reloaded, the old settings go on: %s", self._interface, line)
        else:
            self._loaded(settings)

    def look_around(self) -> None:
        """Take over this host's addresses, and find the ways to fellow proxies: those that packets were sent on to, and
        those that are named as sources."""
        try:
            self._write(self._settings)
            named = {source.network_address for source in self._settings.sources if source.prefixlen == 32}
            fellows = self._datapath.wanted_hops() | named
            self._datapath.write_next_hops(resolve(find_interface(self._interface), fellows))
        except GlbError as error:
            log.error("%s: %s", self._interface, error)

    def detach(self) -> None:
        """Take the program off the interface and remove every trace."""
        self._attachment.remove()
        self._datapath.close()
        self.report.remove()

    def leave(self) -> None:
        """Let the datapath go on without this process."""
        self._attachment.leave()
        self._datapath.close()

    def _write(self, settings: ProxyConfig, wait: float = 0) -> None:
        interface = find_interface(self._interface)
        gateway = resolve_gateway(interface, wait) or UNKNOWN_MAC
        namespaces = namespace_ids(settings.namespaces)
        self._datapath.write(settings.sources, namespaces, ipv4_addresses(interface), gateway)

    def _loaded(self, settings: ProxyConfig) -> None:
        self._settings = settings
        self.report = self.report.changed(loaded=now(), error=None)
        self.report.write()
        if not settings.sources:
            log.warning("%s: no sources are configured: tunnelled packets are taken from anybody", self._interface)


def _read(config: Path | None) -> ProxyConfig:
    return load_proxy(config) if config else ProxyConfig()


async def run(interface: str, config: Path | None, keep: bool) -> None:
    """Decapsulate on the interface until SIGTERM or SIGINT. With keep, the datapath stays attached afterwards.

    Raises ConfigError or DatapathError, with nothing attached.
    """
    stop = stop_event()
    actions: asyncio.Queue[Callable[[Proxy], None]] = asyncio.Queue()
    on_signal(lambda: actions.put_nowait(Proxy.reload), signal.SIGHUP)  # from now on: unheard, it would end us
    proxy = await asyncio.to_thread(Proxy, interface, config)
    log.info("%s: proxy ready", interface)
    tell_ready(f"attached to {interface}")
    try:
        async with asyncio.TaskGroup() as duties:
            duties.create_task(_watch_network(lambda: actions.put_nowait(Proxy.look_around), stop))
            worker = duties.create_task(work_off(proxy, actions))
            await stop.wait()
            worker.cancel()
    except BaseException:
        await asyncio.to_thread(proxy.leave)
        raise
    tell_stopping()
    await asyncio.to_thread(proxy.leave if keep else proxy.detach)
    log.info("%s: %s", interface, "stopped; the datapath stays attached" if keep else "detached")


async def _watch_network(changed: Callable[[], None], stop: asyncio.Event) -> None:
    """Call `changed` whenever the host's links, routes or neighbours have changed, and often besides: packets that wait
    for a way to be known go a longer one meanwhile."""
    async for _ in changes(stop, _LOOK_AROUND_SECONDS):
        changed()
