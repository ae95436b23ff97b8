"""The proxy's datapath: its program, and the settings in its maps."""

import sys
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import numpy as np

from glb.datapath import libbpf
from glb.datapath import program as programs
from glb.datapath.btf import member_offset
from glb.datapath.forwards import NEXT_HOP, packets_to
from glb.datapath.mac import UNKNOWN_MAC, mac_word
from glb.datapath.program import Constants, Program

_NOBODY = 0xFFFFFFFF  # an address that no packet comes from


# Their names, and of which member of which of the kernel's structs each is the place.
_CONSTANTS = {
    "REQUEST_SNT_ISN": ("tcp_request_sock", "snt_isn"),
    "TIME_WAIT_RCV_NXT": ("sock_common", "skc_tw_rcv_nxt"),  # which tcp_timewait_sock begins with
}


def constants() -> Constants:
    """What the program is compiled with: where the running kernel keeps what it reads of connections that begin or end.

    Raises DatapathError where the kernel does not tell.
    """
    return {name: member_offset(*member) for name, member in _CONSTANTS.items()}


class ProxyDatapath:
    """A proxy program, and what its maps tell it. Until settings are written, it takes any tunnelled packet.

    Only what differs from what the maps hold is written: a program that runs is taken over without a write.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        maps = program.maps
        self._sources = {_network(key) for key in maps["sources"]}
        self._addresses = {_address(key) for key in maps["addresses"]}
        self._next_hops = {_address(key): _mac(maps["next_hops"][key]) for key in maps["next_hops"]}

    @classmethod
    def load(cls) -> "ProxyDatapath":
        """Load the program, not attached yet."""
        return cls(programs.load("proxy", constants(), {}))

    @classmethod
    def adopt(cls, fd: int) -> "ProxyDatapath | None":
        """Take over a running program with all that its maps hold, by a descriptor that is given up to it. None if
        `load` would load another program."""
        program = programs.adopt(fd, "proxy", _CONSTANTS, lambda _: {})
        return cls(program) if program else None

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
        new_sources, new_addresses = set(sources), set(addresses)
        source_map, address_map = self.program.maps["sources"], self.program.maps["addresses"]
        for network in new_sources - self._sources:
            source_map[_source_key(network)] = 1
            self._sources.add(network)
        for address in new_addresses - self._addresses:
            address_map[_word(address)] = 1
            self._addresses.add(address)
        self._write_settings(sources, namespaces, addresses, gateway)
        for network in self._sources - new_sources:
            del source_map[_source_key(network)]
            self._sources.remove(network)
        for address in self._addresses - new_addresses:
            del address_map[_word(address)]
            self._addresses.remove(address)

    def wanted_hops(self) -> set[IPv4Address]:
        """The fellow proxies that packets were to be sent on to, while the way there was not known."""
        return {_address(key) for key in self.program.maps["wanted_hops"]}

    def write_next_hops(self, next_hops: Mapping[IPv4Address, bytes]) -> None:
        """Tell the MACs (6 bytes) on the way to fellow proxies, in the place of what was told before."""
        table = self.program.maps["next_hops"]
        for address in self._next_hops.keys() - next_hops.keys():
            del table[_word(address)]
            del self._next_hops[address]
        for address, mac in next_hops.items():
            if self._next_hops.get(address) != mac_word(mac):
                self._write_next_hop(address, mac_word(mac))

    def _write_next_hop(self, address: IPv4Address, mac: int) -> None:
        """Packets that are counted at the very moment when a MAC changes may be missing in the count."""
        table, key = self.program.maps["next_hops"], _word(address)
        is_known = address in self._next_hops
        counts = packets_to(table[key].tobytes()) if is_known else [0] * libbpf.possible_cpus()
        table[key] = b"".join(NEXT_HOP.pack(mac, packets) for packets in counts)
        self._next_hops[address] = mac

    def close(self) -> None:
        """Give up the program; what is attached or pinned of it stays."""
        self.program.close()

    def _write_settings(
        self,
        sources: Sequence[IPv4Network],
        namespaces: Sequence[int],
        addresses: Sequence[IPv4Address],
        gateway: bytes,
    ) -> None:
        table = self.program.maps["proxy_settings"]
        settings = np.zeros((), table.value)
        settings["check_sources"] = bool(sources)
        settings["check_addresses"] = bool(addresses)
        settings["address"] = _word(addresses[0]) if addresses else 0
        settings["first_sources"] = [(0, _NOBODY)] * len(settings["first_sources"])
        for entry, network in zip(settings["first_sources"], sources, strict=False):
            entry["mask"], entry["address"] = _word(network.netmask), _word(network.network_address)
        settings["gateway_mac"] = mac_word(gateway)
        settings["num_namespaces"] = len(namespaces)
        settings["namespaces"][: len(namespaces)] = namespaces
        if settings.tobytes() != table[0].tobytes():
            table[0] = settings


def _source_key(network: IPv4Network) -> tuple[int, int]:
    return network.prefixlen, _word(network.network_address)


def _network(key: Any) -> IPv4Network:
    return IPv4Network((_address(key["address"]), int(key["prefix_len"])))


def _mac(next_hop: Any) -> int:
    """The word of a next hop's MAC, which is the same on each CPU."""
    mac, _ = NEXT_HOP.unpack_from(next_hop.tobytes())
    return int(mac)


def _word(address: IPv4Address) -> int:
    """The address in network order, read as this machine reads words."""
    return int.from_bytes(address.packed, sys.byteorder)


def _address(word: Any) -> IPv4Address:
    return IPv4Address(int(word).to_bytes(4, sys.byteorder))
