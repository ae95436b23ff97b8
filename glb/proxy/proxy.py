"""One interface's proxy: what is attached, whom it takes packets from, and the ways to its fellows."""

import logging
from hashlib import sha256
from pathlib import Path

from glb.config.load import decode_text, parse_proxy
from glb.config.model import ProxyConfig
from glb.config.regular import read_regular
from glb.daemon.lifecycle import Lanes
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, now
from glb.daemon.reporter import Reporter
from glb.datapath.attachment import Attachment
from glb.datapath.mac import UNKNOWN_MAC
from glb.datapath.proxy import ProxyDatapath
from glb.errors import GlbError
from glb.network.errors import NetworkError
from glb.network.interface import addresses_of, find_interface, ipv4_addresses
from glb.network.namespaces import namespace_ids
from glb.network.next_hops import resolve, resolve_gateway
from glb.network.refusal import news
from glb.proxy.api import AgentSettings

log = logging.getLogger(__name__)

_GATEWAY_SECONDS = 1.0  # that a start waits for the router to answer


class Proxy:
    """One interface's datapath and the configuration that it follows."""

    def __init__(self, interface: str, config: Path | None, lanes: Lanes) -> None:
        """Read the configuration, and attach the program with it, unless it is the one that runs already; nothing is
        attached if anything is wrong.

        Raises ConfigError, NetworkError or DatapathError.
        """
        settings, digest = _read(config)
        self._interface = interface
        self._config = config
        self._lanes = lanes
        self._attachment = Attachment(find_interface(interface))
        try:
            running = self._attachment.running_program()
            adopted = None if running is None else ProxyDatapath.adopt(running)
            self._datapath = adopted or ProxyDatapath.load()
            self._write(settings, _GATEWAY_SECONDS)
            self._attachment.put(self._datapath.program)
        except BaseException:
            self._attachment.leave()
            raise
        self._reporter = Reporter(
            Report(
                role="proxy",
                interface=interface,
                process=ProcessId.own(),
                started=now(),
                config_file=str(config.absolute()) if config else None,
            ),
            lanes.reports,
        )
        self._loaded(settings, digest)

    @property
    def report(self) -> Report:
        return self._reporter.report

    def reload(self) -> None:
        """Put the configuration as it is now in the place of the old one; a bad one changes nothing but the report.

        Reading belongs to the lane `loads`, all else to `traffic`.
        """
        try:
            settings, digest = _read(self._config)
            self._lanes.traffic.call("reload", lambda: self._replace(settings, digest))
        except GlbError as error:
            self._reporter.change(error=str(error))
            for line in str(error).splitlines():
                log.error("%s: not reloaded, the old settings go on: %s", self._interface, line)

    def refresh(self) -> None:
        """Take over this host's addresses, and find the ways to fellow proxies: those that packets were sent on to, and
        those that are named as sources. The interface may vanish and come back."""
        self._reporter.catch_up()
        try:
            self._follow()
        except GlbError as error:
            self._reporter.change_trouble(str(error))
        else:
            self._reporter.change_trouble(None)

    def agent_settings(self) -> AgentSettings | None:
        """What the agent is to answer with; None if none is wanted. Raises NetworkError if the interface is gone, or
        has no address."""
        config = self.settings.agent
        if config is None:
            return None
        addresses = config.listen or tuple(addresses_of(find_interface(self._interface)))
        if not addresses:
            raise NetworkError(f"{self._interface} has no IPv4 address")
        return AgentSettings(
            interface=self._interface,
            addresses=addresses,
            port=config.port,
            sources=self.settings.sources,
            namespaces=self.settings.namespaces,
        )

    def note_agent(self, places: tuple[str, ...], trouble: str | None) -> None:
        """Tell in the report where the agent answers, or why it does not."""
        self._reporter.note(agent=places, agent_trouble=trouble)

    def note_metrics(self, places: tuple[str, ...], trouble: str | None) -> None:
        """The same of the metrics exporter."""
        self._reporter.note(metrics=places, metrics_trouble=trouble)

    def detach(self) -> None:
        """Take the program off the interface and remove every trace."""
        self._attachment.remove()
        self._datapath.close()
        self._reporter.remove()

    def leave(self) -> None:
        """Let the datapath go on without this process."""
        self._attachment.leave()
        self._datapath.close()

    def _follow(self) -> None:
        self._write(self.settings)
        interface = find_interface(self._interface)
        named = {source.network_address for source in self.settings.sources if source.prefixlen == 32}
        source = next(iter(addresses_of(interface)), None)
        paths = resolve(interface, self._datapath.wanted_hops() | named, source=source)
        self._datapath.write_next_hops(paths.macs)
        refusals = {str(host): str(refusal) for host, refusal in sorted(paths.refusals.items()) if host in named}
        for refused in news(refusals, self.report.unreachable):
            log.warning("%s: no next hop to %s", self._interface, refused)
        self._reporter.note(unreachable=refusals)
        if cause := self._attachment.follow(interface, self._datapath.program):
            log.warning("%s: attached again: %s", self._interface, cause)

    def _write(self, settings: ProxyConfig, wait: float = 0) -> None:
        interface = find_interface(self._interface)
        gateway = resolve_gateway(interface, wait) or UNKNOWN_MAC
        namespaces = namespace_ids(settings.namespaces)
        self._datapath.write(settings.sources, namespaces, ipv4_addresses(interface), gateway)

    def _replace(self, settings: ProxyConfig, digest: str | None) -> None:
        self._write(settings)
        self._loaded(settings, digest)

    def _loaded(self, settings: ProxyConfig, digest: str | None) -> None:
        self.settings = settings
        self._reporter.change(loaded=now(), digest=digest, error=None)
        if not settings.sources:
            log.warning("%s: no sources are configured: tunnelled packets are taken from anybody", self._interface)


def _read(config: Path | None) -> tuple[ProxyConfig, str | None]:
    """The settings, and their file's SHA-256. Raises ConfigError."""
    if config is None:
        return ProxyConfig(), None
    data = read_regular(config)
    return parse_proxy(decode_text(data, str(config)), str(config)), sha256(data).hexdigest()
