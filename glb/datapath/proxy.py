"""The proxy's datapath: its program, and the settings in its maps."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

import numpy as np

from glb.datapath import program as programs
from glb.datapath.program import Program


class ProxyDatapath:
    """A loaded proxy program. Until settings are written, it takes tunnelled packets from anybody."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._sources: frozenset[IPv4Network] = frozenset()

    @classmethod
    def load(cls) -> "ProxyDatapath":
        """Load the program, not attached yet."""
        return cls(programs.load("proxy", {}))

    def write(self, sources: Sequence[IPv4Network], namespaces: Sequence[int]) -> None:
        """Set whom tunnelled packets are taken from (nobody named: from anybody), and which further network namespaces'
        sockets are asked: ids, as the interface's own namespace numbers its peers.

        What is new is let in before anything is checked, and what is gone is shut out last: no packet from a source
        that both settings name is dropped.
        """
        wanted = frozenset(sources)
        table = self.program.maps["sources"]
        for network in wanted - self._sources:
            table[_source_key(table, network)] = table.Leaf(1)
        self._write_settings(bool(wanted), namespaces)
        for network in self._sources - wanted:
            del table[_source_key(table, network)]
        self._sources = wanted

    def close(self) -> None:
        """Give up the program; what is attached or pinned of it stays."""
        self.program.close()

    def _write_settings(self, check_sources: bool, namespaces: Sequence[int]) -> None:
        table = self.program.maps["proxy_settings"]
        settings = table.Leaf()
        settings.check_sources = check_sources
        settings.num_namespaces = len(namespaces)
        for place, namespace in enumerate(namespaces):
            settings.namespaces[place] = namespace
        table[table.Key(0)] = settings


def _source_key(table: Any, network: IPv4Network) -> Any:
    address = np.frombuffer(network.network_address.packed, dtype=np.uint32)[0]
    return table.Key(network.prefixlen, int(address))
