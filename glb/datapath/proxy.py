# SPDX-License-Identifier: MIT
"""The proxy's datapath: its program, and the settings in its maps."""

from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import numpy as np

from glb.datapath import libbpf
from glb.datapath import program as programs
from glb.datapath.btf import SOCKET_MEMBERS, member_offsets
from glb.datapath.counters import NEXT_HOP, packets_to
from glb.datapath.program import Constants, LoadedProgram
from glb.datapath.proxy_layout import (
    LocalSettings,
    Places,
    address_word,
    first_networks,
    place_key,
    place_of_key,
    word_address,
)
from glb.datapath.tunnel import UNKNOWN_MAC, mac_word


def constants() -> Constants:
    """The macros that the program is compiled with: offsets of members of the running kernel's sockets.

    Raises DatapathError if the kernel does not describe its types.
    """
    return member_offsets(SOCKET_MEMBERS)


class ProxyDatapath:
    """A proxy program and the settings in its maps. Until settings are written, it passes all packets to the stack.

    Only changes are written: a running program is adopted without a write.
    """

    def __init__(self, program: LoadedProgram) -> None:
        self.program = program
        maps = program.maps
        self._networks = {_network(key) for key in maps["networks"]}
        self._addresses = {word_address(key) for key in maps["addresses"]}
        self._places = {place_of_key(key): bool(maps["places"][key]) for key in maps["places"]}
        self._place_settings: LocalSettings | None = None
        self._next_hops = {word_address(key): _mac(maps["next_hops"][key]) for key in maps["next_hops"]}

    @classmethod
    def load(cls) -> "ProxyDatapath":
        """Load the program, not attached yet."""
        return cls(programs.load("proxy", constants(), {}))

    @classmethod
    def adopt(cls, fd: int) -> "ProxyDatapath | None":
        """Adopt a running program with the content of its maps. fd: its descriptor, which is closed with the result, or
        at once if `load` would load another program; then the result is None."""
        program = programs.adopt(fd, "proxy", SOCKET_MEMBERS, lambda _: {})
        return cls(program) if program else None

    def write(
        self,
        *,
        macs: Collection[bytes],
        places: Places,
        sources: Sequence[IPv4Network] = (),
        hops: Sequence[IPv4Network] = (),
        namespaces: Sequence[int] = (),
        addresses: Sequence[IPv4Address] | None = None,
        gateway: bytes = UNKNOWN_MAC,
    ) -> None:
        """Set which packets the program accepts, and where it forwards packets to.

        macs: the one or two destination MACs (6 bytes) of accepted frames. places: the networks that are local to this
        host, and whether each is a VIP. sources: the networks that tunnelled packets are accepted from; empty: from any
        address. hops: the networks that packets may be forwarded to if there are no sources; otherwise these are the
        sources. addresses: where a tunnel may end, the most frequent first; None: at any address. namespaces: further
        network namespaces whose sockets take packets, by the ids in the interface's namespace. gateway: the MAC of the
        router that receives packets for hops that are not resolved yet.

        New entries are added first and old ones are removed last: a packet that both settings accept is never dropped.
        """
        networks = sources or hops
        maps = self.program.maps
        for network in set(networks) - self._networks:
            maps["networks"][_network_key(network)] = 1
            self._networks.add(network)
        ends = set(addresses or ())
        for address in ends - self._addresses:
            maps["addresses"][address_word(address)] = 1
            self._addresses.add(address)
        for place, is_vip in places.items():
            if self._places.get(place) is not is_vip:
                maps["places"][place_key(place)] = is_vip
                self._places[place] = is_vip
        self._write_settings(macs, places, bool(sources), networks, namespaces, addresses, gateway)
        for network in self._networks - set(networks):
            del maps["networks"][_network_key(network)]
            self._networks.remove(network)
        for address in self._addresses - ends:
            del maps["addresses"][address_word(address)]
            self._addresses.remove(address)
        for place in self._places.keys() - places.keys():
            del maps["places"][place_key(place)]
            del self._places[place]

    def wanted_hops(self) -> set[IPv4Address]:
        """The hops of forwarded packets whose next hop is not resolved."""
        return {word_address(key) for key in self.program.maps["wanted_hops"]}

    def forget_wanted(self, hops: Collection[IPv4Address]) -> None:
        """Remove hops from those to be resolved, with their counts."""
        table = self.program.maps["wanted_hops"]
        for hop in self.wanted_hops().intersection(hops):
            libbpf.delete_if_there(table.fd, hop.packed)  # the program also evicts entries, if the map is full

    def write_next_hops(self, next_hops: Mapping[IPv4Address, bytes]) -> None:
        """Set the MACs (6 bytes) of the next hops to peer proxies, replacing all earlier ones."""
        table = self.program.maps["next_hops"]
        for address in self._next_hops.keys() - next_hops.keys():
            del table[address_word(address)]
            del self._next_hops[address]
        for address, mac in next_hops.items():
            if self._next_hops.get(address) != mac_word(mac):
                self._write_next_hop(address, mac_word(mac))

    def _write_next_hop(self, address: IPv4Address, mac: int) -> None:
        """Packets that are counted at the moment of the change may be missing in the count."""
        table, key = self.program.maps["next_hops"], address_word(address)
        is_known = address in self._next_hops
        counts = packets_to(table[key].tobytes()) if is_known else [0] * libbpf.possible_cpus()
        table[key] = b"".join(NEXT_HOP.pack(mac, packets) for packets in counts)
        self._next_hops[address] = mac

    def close(self) -> None:
        """Close the program; what is attached or pinned stays."""
        self.program.close()

    def _write_settings(
        self,
        macs: Collection[bytes],
        places: Places,
        check_sources: bool,
        networks: Sequence[IPv4Network],
        namespaces: Sequence[int],
        addresses: Sequence[IPv4Address] | None,
        gateway: bytes,
    ) -> None:
        table = self.program.maps["proxy_settings"]
        settings = np.zeros((), table.value)
        settings["check_sources"] = check_sources
        settings["check_addresses"] = addresses is not None
        settings["address"] = address_word(addresses[0]) if addresses else 0
        settings["first_networks"] = first_networks(networks, settings["first_networks"])
        settings["macs"] = [mac_word(mac) for mac in (*macs, *macs)][: len(settings["macs"])]
        if self._place_settings is None or self._place_settings.places != places:
            self._place_settings = LocalSettings.of(places, settings)
        settings["first_vips"] = self._place_settings.first_vips
        settings["first_vips6"] = self._place_settings.first_vips6
        settings["filter"] = self._place_settings.filter
        settings["gateway_mac"] = mac_word(gateway)
        settings["num_namespaces"] = len(namespaces)
        settings["namespaces"][: len(namespaces)] = namespaces
        if settings.tobytes() != table[0].tobytes():
            table[0] = settings


def _network_key(network: IPv4Network) -> tuple[int, int]:
    return network.prefixlen, address_word(network.network_address)


def _network(key: Any) -> IPv4Network:
    return IPv4Network((word_address(key["address"]), int(key["prefix_len"])))


def _mac(next_hop: Any) -> int:
    """A next hop's MAC as a word; all CPUs have the same."""
    mac, _ = NEXT_HOP.unpack_from(next_hop.tobytes())
    return int(mac)
