# SPDX-License-Identifier: MIT
"""Reads from a proxy's host which addresses are VIPs, and the networks of its interface."""

from collections.abc import Mapping
from ipaddress import IPv4Network

from glb.config.model import Network, ProxyConfig
from glb.network.interface import Interface
from glb.network.local import Local, LocalReader
from glb.network.namespaces import within
from glb.proxy.vips import connected_networks, judge_places


class VipReader:
    """The VIPs and networks as of the latest `read`."""

    def __init__(self) -> None:
        self._readers: dict[str | None, LocalReader] = {}
        self._seen: tuple[object, ...] = ()
        self._here = Local()
        self.places: Mapping[Network, bool] = {}
        self.vips: tuple[str, ...] = ()

    def read(self, settings: ProxyConfig) -> None:
        """Read the addresses and local routes again. Raises NetworkError."""
        self._here = self._reader(None).read()
        others = [within(name, self._reader(name).read) for name in settings.namespaces]
        seen = (self._here, *others, settings.vips)
        if seen != self._seen:
            self.places = judge_places(self._here, others, settings.vips)
            vips = [place for place, is_vip in self.places.items() if is_vip]
            vips.sort(key=lambda vip: (vip.version, vip.network_address.packed, vip.prefixlen))
            self.vips = tuple(_text(vip) for vip in vips)
            self._seen = seen

    def networks_of(self, interface: Interface) -> list[IPv4Network]:
        """The IPv4 networks that the interface is connected to."""
        return connected_networks(self._here, interface.ip_index)

    def _reader(self, name: str | None) -> LocalReader:
        return self._readers.setdefault(name, LocalReader())


def _text(vip: Network) -> str:
    return str(vip.network_address if vip.prefixlen == vip.max_prefixlen else vip)
