# SPDX-License-Identifier: MIT
"""The watchdog's packets through a director's real program."""

from collections.abc import Callable

import pytest

from glb.config.model import State
from glb.datapath.generation import NetworkView
from glb.director.self_test import try_packets
from glb.director.sources import Loaded
from glb.errors import DatapathError
from tests.datapath.conftest import DIRECTOR_MAC, MTU, DirectorBench, table

MakeDirector = Callable[..., DirectorBench]

MAC = bytes.fromhex(DIRECTOR_MAC.replace(":", ""))
BINDS = (
    {"ip": "203.0.113.10", "proto": "tcp", "port": 80},
    {"ip": "203.0.113.0/24", "proto": "udp", "port_start": 1000, "port_end": 2000},
    {"ip": "2001:db8:f::10", "proto": "tcp", "port": 80},
    {"ip": "2001:db8:f::/64", "proto": "udp", "port": 53},
)


NOWHERE = NetworkView(MAC, MTU, {})


def try_on(bench: DirectorBench, loaded: Loaded, surroundings: NetworkView | None = None) -> None:
    """surroundings: None for those in which every backend has a next hop."""
    everywhere = {backend.address: MAC for backend in loaded.layout.backends}
    around = surroundings or NetworkView(MAC, MTU, everywhere)
    try_packets(bench.program.fd, None, around, loaded.tables, loaded.config)


@pytest.mark.parametrize("bind", BINDS, ids=lambda bind: f"{bind['ip']}-{bind['proto']}")
def test_packets_to_the_first_bind_go_where_they_belong(director: MakeDirector, bind: dict[str, object]) -> None:
    bench = director(table(binds=[bind]))

    try_on(bench, bench.loaded)


def test_a_datapath_with_other_rows_than_it_should_have_fails(director: MakeDirector) -> None:
    should_have = director(table(seed="00" * 16)).loaded
    bench = director(table())

    with pytest.raises(
        DatapathError, match=r"a test packet from 192\.0\.2\.\d to 203.* was sent to 10\.0\.0\.\d+, not to 10\."
    ):
        try_on(bench, should_have)


def test_a_datapath_that_lost_its_next_hops_fails(director: MakeDirector) -> None:
    bench = director()
    bench.datapath.write(bench.loaded.layout, bench.loaded.config, NOWHERE)

    with pytest.raises(DatapathError, match=r"none of 8 test packets to 203\.0\.113\.10:80/tcp was tunnelled"):
        try_on(bench, bench.loaded)


def test_a_host_without_next_hops_is_no_fault_of_the_datapath(director: MakeDirector) -> None:
    """All directors may lose them at once: the VIPs stay announced, as a last resort."""
    bench = director()
    bench.datapath.write(bench.loaded.layout, bench.loaded.config, NOWHERE)

    try_on(bench, bench.loaded, NOWHERE)


def test_a_table_that_cannot_serve_is_not_tested(director: MakeDirector) -> None:
    ill = [{"ip": "10.0.0.11", "state": State.ACTIVE, "healthy": False}]
    bench = director(table(backends=ill))
    bench.datapath.write(bench.loaded.layout, bench.loaded.config, NOWHERE)

    try_on(bench, bench.loaded)
