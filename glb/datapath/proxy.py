"""The proxy's datapath: its program, and the settings in its maps."""

import sys
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from glb.datapath import program as programs
from glb.datapath.mac import UNKNOWN_MAC, mac_word
from glb.datapath.program import Program


class ProxyDatapath:
    """A loaded proxy program. Until settings are written, it takes any tunnelled packet."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._sources: frozenset[IPv4Network] = frozenset()
        self._addresses: frozenset[IPv4Address] = frozenset()
        self._next_hops: dict[IPv4Address, bytes] = {}

    @classmethod
    def load(cls) -> "ProxyDatapath":
        """Load the program, not attached yet."""
        return cls(programs.load("proxy", {}))

    def write(
        self,
        sources: Sequence[IPv4Network] = (),
        namespaces: Sequence[int] = (),
        addresses: Sequence[IPv4Address] = (),
        gateway: bytes = UNKNOWN_MAC,
    ) -> None:
        """Set whom tunnelled packets are taken from, the addresses of this host that they may be sent to (the likeliest
        first), and which further network namespaces' sockets are asked: ids, as the interface's own namespace numbers
        its peers. Where no source or no address is named, any will do. gateway: the MAC (6 bytes) of the router that
        packets are sent on to until the way to a hop is known.

        What is new is let in before anything is checked, and what is gone is shut out last: no packet that both
        settings would take is dropped.
        """
        old_sources, old_addresses = self._sources, self._addresses
        self._sources, self._addresses = frozenset(sources), frozenset(addresses)
        source_map, address_map = self.program.maps["sources"], self.program.maps["addresses"]
        for network in self._sources - old_sources:
            source_map[_source_key(source_map, network)] = source_map.Leaf(1)
        for address in self._addresses - old_addresses:
            address_map[address_map.Key(_word(address))] = address_map.Leaf(1)
        self._write_settings(namespaces, addresses[0] if addresses else IPv4Address(0), gateway)
        for network in old_sources - self._sources:
            del source_map[_source_key(source_map, network)]
        for address in old_addresses - self._addresses:
            del address_map[address_map.Key(_word(address))]

    def wanted_hops(self) -> set[IPv4Address]:
        """The fellow proxies that packets were to be sent on to, while the way there was not known."""
        return {_address(key) for key in self.program.maps["wanted_hops"].keys()}  # noqa: SIM118 - no dict

    def write_next_hops(self, next_hops: Mapping[IPv4Address, bytes]) -> None:
        """Tell the MACs (6 bytes) on the way to fellow proxies, in the place of what was told before."""
        table = self.program.maps["next_hops"]
        for address in self._next_hops.keys() - next_hops.keys():
            del table[table.Key(_word(address))]
        for address, mac in next_hops.items():
            if self._next_hops.get(address) != mac:
                table[table.Key(_word(address))] = table.Leaf(mac_word(mac))
        self._next_hops = dict(next_hops)

    def close(self) -> None:
        """Give up the program; what is attached or pinned of it stays."""
        self.program.close()

    def _write_settings(self, namespaces: Sequence[int], address: IPv4Address, gateway: bytes) -> None:
        table = self.program.maps["proxy_settings"]
        settings = table.Leaf()
        settings.check_sources = bool(self._sources)
        settings.check_addresses = bool(self._addresses)
        settings.address = _word(address)
        settings.gateway_mac = mac_word(gateway)
        settings.num_namespaces = len(namespaces)
        for place, namespace in enumerate(namespaces):
            settings.namespaces[place] = namespace
        table[table.Key(0)] = settings


def _source_key(table: Any, network: IPv4Network) -> Any:
    return table.Key(network.prefixlen, _word(network.network_address))


def _word(address: IPv4Address) -> int:
    """The address in network order, read as this machine reads words."""
    return int.from_bytes(address.packed, sys.byteorder)


def _address(key: Any) -> IPv4Address:
    return IPv4Address(int(key.value).to_bytes(4, sys.byteorder))
