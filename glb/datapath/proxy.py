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
    """What the program is compiled with: where the running kernel keeps what it reads of sockets.

    Raises DatapathError where the kernel does not tell.
    """
    return member_offsets(SOCKET_MEMBERS)


class ProxyDatapath:
    """A proxy program, and what its maps tell it. Until settings are written, it leaves all packets to the stack.

    Only what differs from what the maps hold is written: a program that runs is taken over without a write.
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
        """Take over a running program with all that its maps hold, by a descriptor that is given up to it. None if
        `load` would load another program."""
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
        """Set what the program accepts, and where it sends on to.

        macs: the one or two MACs (6 bytes) that frames are taken for. places: what is local to this host, and whether
        it is a VIP. sources: the networks that tunnelled packets are accepted from; none: from any address. hops: the
        networks that packets may be sent on to if there are no sources, which are otherwise the sources themselves.
        addresses: where a tunnel may end, the likeliest first; None: at any address. namespaces: further network
        namespaces whose sockets take packets, as ids by which the interface's own namespace numbers its peers.
        gateway: the MAC of the router that packets are sent on to until the MAC on the way to a hop is known.

        What is new is let in before anything is checked, and what is gone is shut out last: no packet that both
        settings would take is dropped.
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
        """The hops that packets were to be sent on to while the MAC on the way to them was not known."""
        return {word_address(key) for key in self.program.maps["wanted_hops"]}

    def forget_wanted(self, hops: Collection[IPv4Address]) -> None:
        """Take back hops from those that are to be resolved, with what was counted of them."""
        table = self.program.maps["wanted_hops"]
        for hop in self.wanted_hops().intersection(hops):
            libbpf.delete_if_there(table.fd, hop.packed)  # the program also makes room, when the map is full

    def write_next_hops(self, next_hops: Mapping[IPv4Address, bytes]) -> None:
        """Tell the MACs (6 bytes) on the way to fellow proxies, in the place of what was told before."""
        table = self.program.maps["next_hops"]
        for address in self._next_hops.keys() - next_hops.keys():
            del table[address_word(address)]
            del self._next_hops[address]
        for address, mac in next_hops.items():
            if self._next_hops.get(address) != mac_word(mac):
                self._write_next_hop(address, mac_word(mac))

    def _write_next_hop(self, address: IPv4Address, mac: int) -> None:
        """Packets that are counted at the very moment when a MAC changes may be missing in the count."""
        table, key = self.program.maps["next_hops"], address_word(address)
        is_known = address in self._next_hops
        counts = packets_to(table[key].tobytes()) if is_known else [0] * libbpf.possible_cpus()
        table[key] = b"".join(NEXT_HOP.pack(mac, packets) for packets in counts)
        self._next_hops[address] = mac

    def close(self) -> None:
        """Give up the program; what is attached or pinned of it stays."""
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
    """The word of a next hop's MAC, which is the same on each CPU."""
    mac, _ = NEXT_HOP.unpack_from(next_hop.tobytes())
    return int(mac)
