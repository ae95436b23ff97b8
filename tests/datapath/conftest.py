# SPDX-License-Identifier: MIT
"""Programs in the kernel without any network: frames go in and come out by BPF_PROG_TEST_RUN."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from glb.datapath import libbpf
from glb.datapath.counters import counters_of
from glb.datapath.director import DirectorDatapath
from glb.datapath.generation import NetworkView
from glb.datapath.layout import Capacity, capacity_for
from glb.datapath.program import LoadedProgram
from glb.datapath.proxy import ProxyDatapath
from glb.director.sources import Loaded, Sources, read
from glb.network.vlans import Vlan
from glb.table.builder import RowBuilder
from tests.own_network import own_network

DIRECTOR_MAC = "02:00:00:00:00:01"
GATEWAY_MAC = "02:00:00:00:00:fe"
MTU = 9000
ACTIONS = {0: "aborted", 1: "drop", 2: "pass", 3: "tx", 4: "redirect"}

PROXY_MAC = "02:00:00:00:00:0b"
VIPS = ("203.0.113.10", "2001:db8:f::10")
CLIENTS = ("198.18.0.1", "2001:db8:c::1")
OPEN_PROXY: dict[str, Any] = {
    "macs": [bytes.fromhex(PROXY_MAC.replace(":", ""))],
    "places": {ip_network("203.0.113.0/24"): True, ip_network("2001:db8:f::/48"): True},
    "hops": [ip_network("0.0.0.0/0")],
}

CONFIG: dict[str, Any] = {
    "outbound_gateway_mac": GATEWAY_MAC,
    "outbound_src_ip": "10.0.0.1",
    "forward_icmp_ping_responses": True,
}


def table(name: str = "web", **changes: Any) -> dict[str, Any]:
    """A forwarding table's source; `changes` replace its keys."""
    return {
        "name": name,
        "hash_key": "000102030405060708090a0b0c0d0e0f",
        "seed": "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        "binds": [
            {"ip": "203.0.113.10", "proto": "tcp", "port": 80},
            {"ip": "2001:db8:f::10", "proto": "tcp", "port": 80},
            {"ip": "203.0.113.10", "proto": "udp", "port": 53},
            {"ip": "2001:db8:f::10", "proto": "udp", "port": 53},
        ],
        "backends": [{"ip": f"10.0.0.{n}", "state": "active", "healthy": True} for n in (11, 12, 13)],
    } | changes


@dataclass
class Outcome:
    """What a program did with a frame."""

    action: str
    verdict: str
    frame: bytes

    @property
    def packet(self) -> Packet:
        return Ether(self.frame)


@dataclass
class Bench:
    """A loaded program to run frames through."""

    program: LoadedProgram

    def run(self, frame: Packet | bytes) -> Outcome:
        before = counters_of(self.program)
        action, out = libbpf.run_on_frame(self.program.fd, bytes(frame))
        after = counters_of(self.program)
        counted = [name for name in after if after[name] != before[name]]
        assert len(counted) == 1, f"a packet is counted once, this one as {counted}"
        return Outcome(ACTIONS[action], counted[0], out)


@dataclass
class DirectorBench(Bench):
    """A director with tables."""

    datapath: DirectorDatapath
    loaded: Loaded

    def write(self, loaded: Loaded, vlans: Mapping[int, Vlan] | None = None) -> None:
        gateway = bytes.fromhex(GATEWAY_MAC.replace(":", ""))
        next_hops = {backend.address: gateway for backend in loaded.layout.backends}
        mac = bytes.fromhex(DIRECTOR_MAC.replace(":", ""))
        surroundings = NetworkView(mac, loaded.config.mtu or MTU, next_hops, vlans=vlans or {})
        self.datapath.write(loaded.layout, loaded.config, surroundings)
        self.loaded = loaded


def load_files(folder: Path, *tables: dict[str, Any], **config: Any) -> Loaded:
    """What a director makes of these tables and these changes of CONFIG."""
    sources = Sources(folder / "director.conf", folder / "forwarding_table.json")
    sources.config.write_text(json.dumps(CONFIG | config))
    sources.table.write_text(json.dumps({"tables": list(tables or [table()])}))
    return read(sources, RowBuilder())


@pytest.fixture(scope="session")
def loaded_directors() -> Iterator[dict[Capacity, DirectorDatapath]]:
    """Programs that tests use one after the other: a write replaces all that an earlier test wrote."""
    loaded: dict[Capacity, DirectorDatapath] = {}
    yield loaded
    for datapath in loaded.values():
        datapath.close()


@pytest.fixture
def director(tmp_path: Path, loaded_directors: dict[Capacity, DirectorDatapath]) -> Callable[..., DirectorBench]:
    """Makes a director from tables and changes of CONFIG."""

    def make(*tables: dict[str, Any], **config: Any) -> DirectorBench:
        loaded = load_files(tmp_path, *tables, **config)
        capacity = capacity_for(loaded.layout)
        if capacity not in loaded_directors:
            loaded_directors[capacity] = DirectorDatapath.load(loaded.layout)
        datapath = loaded_directors[capacity]
        bench = DirectorBench(datapath.program, datapath, loaded)
        bench.write(loaded)
        return bench

    return make


@dataclass
class ProxyBench(Bench):
    """A proxy with settings."""

    datapath: ProxyDatapath

    def write(self, **settings: Any) -> None:
        """Settings of which most are the same in all tests."""
        self.datapath.write(**OPEN_PROXY | settings)


@pytest.fixture(scope="session")
def loaded_proxy() -> Iterator[ProxyDatapath]:
    datapath = ProxyDatapath.load()
    yield datapath
    datapath.close()


@pytest.fixture
def proxy(loaded_proxy: ProxyDatapath) -> ProxyBench:
    """A proxy that takes packets from any address, for sockets of its own namespace."""
    bench = ProxyBench(loaded_proxy.program, loaded_proxy)
    bench.write()
    return bench


@pytest.fixture(scope="module")
def own_sockets() -> Iterator[None]:
    """The tests of this module in a network namespace with the addresses of a client and of VIPs."""
    with own_network(*VIPS, *CLIENTS):
        yield
