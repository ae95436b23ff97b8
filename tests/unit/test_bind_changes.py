# SPDX-License-Identifier: MIT
"""Whose flows become whose, compared with `lookup`, flow by flow."""

from ipaddress import IPv4Address, ip_address, ip_network

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from glb.config.model import Backend, Bind, HashFields, Proto
from glb.hashing.flow import Flow
from glb.table.bind_changes import BindChange, bind_changes, new_binds
from glb.table.lookup import lookup
from glb.table.model import BuiltTable

ROWS = np.zeros((65536, 1), np.uint16)
CLIENT = IPv4Address("192.0.2.1")
# A world small enough to try every flow of it: four addresses, four ports.
ADDRESSES = [ip_address(0xC6336400 + n) for n in range(4)]
NETWORKS = [ip_network(f"{a}/32") for a in ADDRESSES] + [
    ip_network(f"198.51.100.{network}") for network in ("0/31", "2/31", "0/30")
]
PORTS = range(1, 5)


def table(name: str, *binds: Bind) -> BuiltTable:
    return BuiltTable(name, bytes(16), bytes(16), binds, (Backend(ip_address("10.0.0.1")),), ROWS)


def bind(network: str, start: int, end: int) -> Bind:
    return Bind(ip_network(network), Proto.TCP, start, end)


def test_what_stays_goes_from_each_table_to_itself() -> None:
    a, b = bind("198.51.100.1", 80, 80), bind("198.51.100.2", 80, 80)
    tables = [table("a", a), table("b", b)]

    assert bind_changes(tables, tables) == (BindChange(a, 0, 0), BindChange(b, 1, 1))


def test_a_narrower_bind_takes_its_flows_from_a_wider_one() -> None:
    wide, narrow = bind("198.51.100.0/24", 1, 65535), bind("198.51.100.7", 443, 443)

    found = bind_changes([table("all", wide)], [table("all", wide), table("one", narrow)])

    assert set(found) == {BindChange(wide, 0, 0), BindChange(wide, 0, 1)}


def test_flows_that_no_table_had_and_flows_that_none_gets() -> None:
    old, new = bind("198.51.100.1", 80, 80), bind("198.51.100.1", 81, 81)

    assert set(bind_changes([table("a", old)], [table("a", new)])) == {
        BindChange(old, 0, None),
        BindChange(new, None, 0),
    }


@st.composite
def binds(draw: st.DrawFn) -> Bind:
    start, end = sorted((draw(st.sampled_from(PORTS)), draw(st.sampled_from(PORTS))))
    return Bind(draw(st.sampled_from(NETWORKS)), draw(st.sampled_from(Proto)), start, end)


def rank(one: Bind) -> tuple[int, int]:
    return one.network.prefixlen, one.port_end - one.port_start


@st.composite
def tables(draw: st.DrawFn) -> list[BuiltTable]:
    """Two tables in which no two binds could match the same flow with equal precedence."""
    chosen = draw(st.lists(binds(), unique_by=lambda one: (rank(one), one.proto, one.network), min_size=1, max_size=5))
    cut = draw(st.integers(0, len(chosen)))
    return [table("a", *chosen[:cut]), table("b", *chosen[cut:])]


@settings(max_examples=200, deadline=None)
@given(old=tables(), new=tables())
def test_every_flow_has_a_table_after_the_change(old: list[BuiltTable], new: list[BuiltTable]) -> None:
    ways = {(h.before, h.after) for h in bind_changes(old, new)}
    names = {"a": 0, "b": 1, None: None}

    met = set()
    for address in ADDRESSES:
        for port in PORTS:
            for proto in Proto:
                flow = Flow(CLIENT, address, 4711, port)
                before, after = (lookup(side, flow, proto, HashFields()) for side in (old, new))
                met.add((names[before.table if before else None], names[after.table if after else None]))

    assert met - {(None, None)} <= ways


def test_bind_is_new_only_if_it_overlaps_no_old_bind() -> None:
    old, narrow = bind("198.51.100.0/30", 1, 100), bind("198.51.100.1", 80, 80)
    beside, across = bind("198.51.100.1", 443, 443), bind("198.51.100.2", 90, 110)

    found = new_binds([table("a", old)], [table("a", old, narrow, beside), table("b", across)])

    assert found == (("a", str(beside)),)
    assert new_binds([table("a", old)], [table("renamed", old)]) == ()
