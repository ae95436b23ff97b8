# SPDX-License-Identifier: MIT
"""Rows in the director's maps: where they lie, and what the slots of short ones hold."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network

import numpy as np

from glb.config.model import Backend, Bind, DirectorConfig, Proto
from glb.datapath.layout import RowBlock, plan, plan_again
from glb.table.model import NO_HOP, BuiltTable, Rows, rows_digest

ROWS = 65536
CONFIG = DirectorConfig(IPv4Address("10.0.0.1"))


def rows(*hops: int, dtype: type = np.uint8) -> Rows:
    """The same hops in each row."""
    return np.tile(np.array(hops, dtype), (ROWS, 1))


def table(name: str, content: Rows, backends: int = 9) -> BuiltTable:
    number = int(name[1:])
    binds = (Bind(ip_network(f"203.0.113.{number}"), Proto.TCP, 80, 80),)
    return BuiltTable(
        name, bytes(16), bytes(16), binds, tuple(Backend(ip_address("10.0.0.1") + i) for i in range(backends)), content
    )


def filled(block: RowBlock) -> list[list[int]]:
    slots = np.full((block.num_slots, 4), 77, np.uint16)
    block.fill(slots)
    assert (slots.reshape(ROWS, -1) == slots[: block.slots_per_row].reshape(-1)).all()
    return slots[: block.slots_per_row].tolist()


def test_a_row_of_up_to_four_hops_is_one_slot() -> None:
    layout = plan([table("t1", rows(1, 2, 3)), table("t2", rows(1, 2, 3, 4, 5))], CONFIG)

    assert [filled(block) for block in layout.blocks] == [[[1, 2, 3, 0]], [[1, 2, 3, 4], [5, 0, 0, 0]]]
    assert [(place.first_slot, place.hops) for place in layout.tables] == [(0, 3), (ROWS, 5)]
    assert layout.num_slots == 3 * ROWS


def test_a_short_row_repeats_its_last_hop() -> None:
    short = rows(4, NO_HOP, NO_HOP, dtype=np.uint16)
    short[1:] = (4, 5, NO_HOP)

    [block] = plan([table("t1", short)], CONFIG).blocks
    slots = np.empty((block.num_slots, 4), np.uint16)
    block.fill(slots)

    assert block.hops == 2
    assert slots[0].tolist() == [4, 4, 0, 0]
    assert slots[1].tolist() == [4, 5, 0, 0]


def test_tables_with_the_same_rows_share_them() -> None:
    layout = plan([table("t1", rows(1, 2)), table("t2", rows(2, 1)), table("t3", rows(1, 2))], CONFIG)

    assert [place.first_slot for place in layout.tables] == [0, ROWS, 0]
    assert len(layout.blocks) == 2


def test_planned_again_with_other_rows_it_is_as_planned_anew() -> None:
    before = [table("t1", rows(1, 2)), table("t2", rows(2, 1))]
    after = [before[0], replace(before[1], rows=rows(3, 4))]

    again, anew = plan_again(plan(before, CONFIG), after), plan(after, CONFIG)

    assert [filled(block) for block in again.blocks] == [filled(block) for block in anew.blocks]
    assert replace(again, blocks=()).__repr__() == replace(anew, blocks=()).__repr__()


def test_the_digest_of_rows_is_of_their_content_and_their_shape() -> None:
    one, other = rows(1, 2), rows(1, 2)

    assert rows_digest(one) == rows_digest(other) == rows_digest(one)
    assert rows_digest(rows(2, 1)) != rows_digest(one)
    assert rows_digest(rows(1, 2, dtype=np.uint16)) != rows_digest(one)


def test_a_new_array_at_the_same_address_has_its_own_digest() -> None:
    digests = {rows_digest(rows(number, 0)) for number in range(20)}

    assert len(digests) == 20
