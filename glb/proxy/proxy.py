# SPDX-License-Identifier: MIT
"""The proxy of one interface: the attached program, its settings, and the hops that it forwards to."""

import logging
import time
from hashlib import sha256
from ipaddress import IPv4Address
from pathlib import Path

from glb.config.model import ProxyConfig
from glb.config.parse import decode_text, parse_proxy
from glb.daemon.lifecycle import Lanes
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, now, socket_path
from glb.daemon.reporter import Reporter
from glb.datapath.attachment import Attachment
from glb.datapath.counters import forwards_of
from glb.datapath.proxy import ProxyDatapath
from glb.datapath.tunnel import UNKNOWN_MAC
from glb.errors import GlbError, NetworkError
from glb.files import read_regular
from glb.network.interface import addresses_of, find_interface, frame_macs, ipv4_addresses
from glb.network.namespaces import namespace_ids
from glb.network.next_hops import resolve, resolve_gateway
from glb.network.refusal import news
from glb.proxy.agent_api import AgentSettings
from glb.proxy.hops import LiveHops
from glb.proxy.return_paths import ReturnPaths
from glb.proxy.settings_changes import describe_changes
from glb.proxy.vip_reader import VipReader

log = logging.getLogger(__name__)

_GATEWAY_SECONDS = 1.0  # how long a start waits for the router to respond


class Proxy:
    """The datapath of one interface, and its configuration."""

    def __init__(self, interface: str, config: Path, lanes: Lanes) -> None:
        """Read the configuration and attach the program, or adopt the attached one if it is of the same version.

        Raises ConfigError, NetworkError or DatapathError; then nothing is attached.
        """
        settings, digest = _read(config)
        self._interface = interface
        self._config = config
        self._lanes = lanes
        self._vip_reader = VipReader()
        self._live_hops = LiveHops()
        self._resolved_hops: frozenset[IPv4Address] = frozenset()
        self._return_paths = ReturnPaths(interface)
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
                socket=str(socket_path(interface)),
                config_file=str(config.absolute()),
            ),
            lanes.reports,
        )
        self._loaded(settings, digest)

    @property
    def report(self) -> Report:
        return self._reporter.report

    def reload(self) -> None:
        """Load the present configuration. If it is refused, only the status file changes.

        Runs in the lane `loads`; the result is put in force in the lane `traffic`.
        """
        try:
            settings, digest = _read(self._config)
            self._lanes.traffic.call("reload", lambda: self._replace(settings, digest))
        except GlbError as error:
            self._reporter.change(error=str(error))
            for line in str(error).splitlines():
                log.error("%s: not reloaded, the old settings stay in force: %s", self._interface, line)

    def refresh(self) -> None:
        """Follow this host's addresses, and resolve the hops that packets are forwarded to and the single addresses in
        `sources`. The interface may disappear and return."""
        self._reporter.catch_up()
        try:
            self._follow()
        except GlbError as error:
            self._reporter.change_trouble(str(error))
        else:
            self._reporter.change_trouble(None)

    def resolve_new_hops(self) -> None:
        """Refresh if packets are forwarded to a hop that is not resolved yet; otherwise this takes one system call."""
        if not self._datapath.wanted_hops() <= self._resolved_hops:
            self.refresh()

    def agent_settings(self) -> AgentSettings | None:
        """The agent's settings; None if it is not configured. Raises NetworkError if the interface is gone, or has no
        address."""
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
            sources=self.settings.known_sources,
            namespaces=self.settings.namespaces,
        )

    def note_agent(self, places: tuple[str, ...], trouble: str | None) -> None:
        """Record in the status where the agent listens, or why it does not."""
        self._reporter.note(agent=places, agent_trouble=trouble)

    def note_metrics(self, places: tuple[str, ...], trouble: str | None) -> None:
        """Record in the status where the metrics exporter listens, or why it does not."""
        self._reporter.note(metrics=places, metrics_trouble=trouble)

    def detach(self) -> None:
        """Detach the program and remove all pins and files."""
        self._attachment.remove()
        self._datapath.close()
        self._reporter.remove()

    def leave(self) -> None:
        """Leave the datapath attached when this process exits."""
        self._attachment.leave()
        self._datapath.close()

    def _follow(self) -> None:
        self._write(self.settings)
        self._reporter.note(vips=self._vip_reader.vips)
        interface = find_interface(self._interface)
        named = {source.network_address for source in self.settings.sources if source.prefixlen == 32}
        counts = forwards_of(self._datapath.program)
        hops = self._live_hops.update(counts, time.monotonic())
        self._datapath.forget_wanted(counts.keys() - hops)
        source = next(iter(addresses_of(interface)), None)
        paths = resolve(interface, hops | named, source=source)
        self._datapath.write_next_hops(paths.macs)
        self._resolved_hops = frozenset(paths.macs)
        refusals = {str(host): str(refusal) for host, refusal in sorted(paths.refusals.items()) if host in named}
        for refused in news(refusals, self.report.unreachable):
            log.warning("%s: no next hop to %s", self._interface, refused)
        self._reporter.note(unreachable=refusals)
        self._return_paths.refresh(self._vip_reader.vips, self.settings.namespaces)
        self._reporter.note(return_paths=self._return_paths.faults)
        if cause := self._attachment.follow(interface, self._datapath.program):
            log.warning("%s: attached again: %s", self._interface, cause)

    def _write(self, settings: ProxyConfig, wait: float = 0) -> None:
        interface = find_interface(self._interface)
        self._vip_reader.read(settings)
        self._datapath.write(
            macs=frame_macs(interface),
            places=self._vip_reader.places,
            sources=settings.known_sources,
            hops=self._vip_reader.networks_of(interface),
            namespaces=namespace_ids(settings.namespaces),
            addresses=[address for address in ipv4_addresses(interface) if not address.is_loopback],
            gateway=resolve_gateway(interface, wait) or UNKNOWN_MAC,
        )

    def _replace(self, settings: ProxyConfig, digest: str) -> None:
        self._write(settings)
        changed = describe_changes(self.settings, settings)
        self._loaded(settings, digest)
        log.info("%s: reloaded %s: %s", self._interface, self._config.name, changed)

    def _loaded(self, settings: ProxyConfig, digest: str) -> None:
        self.settings = settings
        self._reporter.change(loaded=now(), digest=digest, error=None)
        self._reporter.note(vips=self._vip_reader.vips)
        if not self._vip_reader.vips:
            log.warning(
                "%s: no address of this host is a VIP: all tunnelled packets are dropped (drop_not_vip); add the VIPs "
                "to lo, or list them as `vips` in proxy.conf",
                self._interface,
            )
        if not settings.known_sources:
            log.warning(
                "%s: `sources` in proxy.conf allow any address: tunnelled packets are accepted from everywhere, and "
                "forwarded only to hosts of the interface's own networks",
                self._interface,
            )


def _read(config: Path) -> tuple[ProxyConfig, str]:
    """The settings, and their file's SHA-256. Raises ConfigError."""
    data = read_regular(config)
    return parse_proxy(decode_text(data, str(config)), str(config)), sha256(data).hexdigest()
