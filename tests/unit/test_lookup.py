# SPDX-License-Identifier: MIT
"""Which bind a flow belongs to, and where its packets go."""

from ipaddress import ip_address, ip_network

import pytest

from glb.config.model import Backend, Bind, HashFields, Proto, Table
from glb.hashing.flow import Flow, flow_hash, row_of
from glb.table.build import build
from glb.table.lookup import lookup
from glb.table.model import BuiltTable

KEY = bytes(range(16))
SEED = bytes(range(16, 32))
CLIENT = ip_address("192.0.2.9")


def bind(network: str, start: int, end: int | None = None, proto: Proto = Proto.TCP) -> Bind:
    return Bind(ip_network(network), proto, start, end or start)


BINDS = {
    "exact": bind("198.51.100.1", 80),
    "exact, udp": bind("198.51.100.1", 80, proto=Proto.UDP),
    "address, few ports": bind("198.51.100.1", 70, 90),
    "address, all ports": bind("198.51.100.1", 1, 65535),
    "/24, one port": bind("198.51.100.0/24", 443),
    "/24, few ports": bind("198.51.100.0/24", 400, 500),
    "/16, one port": bind("198.51.0.0/16", 443),
    "IPv6": bind("2001:db8::/32", 443),
    "/8, some ports": bind("10.0.0.0/8", 10, 20),
    "/8, as many others": bind("10.0.0.0/8", 15, 25),
}


@pytest.fixture(scope="module")
def shared() -> BuiltTable:
    backends = tuple(Backend(ip_address(0x0A000001 + i)) for i in range(5))
    return build(Table("shared", KEY, SEED, (), backends))


def with_binds(name: str, table: BuiltTable, binds: list[Bind]) -> BuiltTable:
    return BuiltTable(name, table.hash_key, table.seed, tuple(binds), table.backends, table.rows)


@pytest.fixture(scope="module")
def tables(shared: BuiltTable) -> list[BuiltTable]:
    """A table for each bind, named after it, the least fitting ones first."""
    names = [*reversed([n for n in BINDS if not n.startswith("/8")]), "/8, some ports", "/8, as many others"]
    return [with_binds(name, shared, [BINDS[name]]) for name in names]


@pytest.mark.parametrize(
    ("destination", "port", "proto", "name"),
    [
        ("198.51.100.1", 80, Proto.TCP, "exact"),
        ("198.51.100.1", 80, Proto.UDP, "exact, udp"),
        ("198.51.100.1", 81, Proto.TCP, "address, few ports"),
        ("198.51.100.1", 443, Proto.TCP, "address, all ports"),
        ("198.51.100.2", 443, Proto.TCP, "/24, one port"),
        ("198.51.100.2", 400, Proto.TCP, "/24, few ports"),
        ("198.51.101.2", 443, Proto.TCP, "/16, one port"),
        ("2001:db8::7", 443, Proto.TCP, "IPv6"),
        ("10.1.2.3", 17, Proto.TCP, "/8, as many others"),
        ("10.1.2.3", 13, Proto.TCP, "/8, some ports"),
        ("198.51.100.1", 81, Proto.UDP, None),
        ("203.0.113.1", 80, Proto.TCP, None),
        ("2001:db9::7", 443, Proto.TCP, None),
    ],
)
def test_precedence_of_binds(
    tables: list[BuiltTable], destination: str, port: int, proto: Proto, name: str | None
) -> None:
    found = lookup(tables, Flow(CLIENT, ip_address(destination), 1234, port), proto, HashFields())

    assert (found and (found.table, found.bind)) == (name and (name, BINDS[name]))


def test_the_hops_are_those_of_the_flows_row(shared: BuiltTable) -> None:
    table = with_binds("web", shared, [BINDS["exact"]])
    flow = Flow(CLIENT, ip_address("198.51.100.1"), 1234, 80)

    found = lookup([table], flow, Proto.TCP, HashFields())

    assert found is not None
    assert found.pkt_hash == flow_hash(KEY, HashFields(), flow)
    assert found.row == found.pkt_hash & 0xFFFF
    assert found.hops == tuple(table.backends[i].address for i in table.rows[found.row])
    assert found.tunnel_source_port == 0x8000 | ((found.pkt_hash ^ 1234) & 0x7FFF)


def test_alternative_fields_append_the_hops_of_a_second_row(shared: BuiltTable) -> None:
    table = with_binds("web", shared, [BINDS["exact"]])
    flow = Flow(CLIENT, ip_address("198.51.100.1"), 1234, 80)
    other = HashFields(src_addr=False, src_port=True)

    plain = lookup([table], flow, Proto.TCP, HashFields())
    found = lookup([table], flow, Proto.TCP, HashFields(), other)
    same = lookup([table], flow, Proto.TCP, HashFields(), HashFields())

    assert plain
    assert found
    assert same
    assert found.hops == plain.hops + table.hops(row_of(flow_hash(KEY, other, flow)))
    assert (found.row, found.tunnel_source_port) == (plain.row, plain.tunnel_source_port)
    assert same.hops == plain.hops * 2


def test_echo_is_hashed_without_ports(
    tables: list[BuiltTable],
) -> None:
    fields = HashFields(src_port=True, dst_port=True)
    echo = Flow(CLIENT, ip_address("198.51.100.1"), 0xBEEF, 0)

    found = lookup(tables, echo, "icmp", fields)

    assert found is not None
    assert found.table == "exact"  # the last of the four tables with the address
    assert found.pkt_hash == flow_hash(KEY, fields, Flow(CLIENT, echo.dst, 0, 0))
    assert found.tunnel_source_port == 0x8000 | ((found.pkt_hash ^ 0xBEEF) & 0x7FFF)


def test_a_missing_hop_is_left_out() -> None:
    backends = (Backend(ip_address("10.0.0.1")), Backend(ip_address("10.0.0.2")))
    table = build(Table("web", KEY, SEED, (BINDS["exact"],), backends, depth=4))

    found = lookup([table], Flow(CLIENT, ip_address("198.51.100.1"), 1, 80), Proto.TCP, HashFields())

    assert found is not None
    assert len(found.hops) == 2
