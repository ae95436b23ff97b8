# SPDX-License-Identifier: MIT
"""What a change of table does to flows."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from glb.config.model import Backend, Bind, Proto, State, Table
from glb.errors import TableError
from glb.table.build import build
from glb.table.diff import BackendShare, describe_changes, diff, diff_all
from glb.table.model import BuiltTable

BIND = Bind(ip_network("198.51.100.1"), Proto.TCP, 80, 80)
BACKENDS = tuple(Backend(ip_address(0x0A000001 + i)) for i in range(4))
WEB = Table("web", bytes(16), bytes(16), (BIND,), BACKENDS)


@pytest.fixture(scope="module")
def web() -> BuiltTable:
    return build(WEB)


def built(backends: Sequence[Backend], depth: int = 3) -> BuiltTable:
    return build(replace(WEB, backends=tuple(backends), depth=depth))


def test_a_table_that_is_the_same_moves_nothing(web: BuiltTable) -> None:
    change = diff(web, web)

    assert (change.moved, change.later_changed, change.cut, change.may_cut) == (0, 0, 0, False)


def test_the_order_of_the_backends_plays_no_part(web: BuiltTable) -> None:
    change = diff(web, built(BACKENDS[::-1]))

    assert (change.moved, change.later_changed, change.cut) == (0, 0, 0)


def test_draining_moves_the_backends_own_rows_and_cuts_none(web: BuiltTable) -> None:
    draining = replace(BACKENDS[2], state=State.DRAINING)

    change = diff(web, built([*BACKENDS[:2], draining, BACKENDS[3]]))

    owned = int((web.rows[:, 0] == 2).sum())
    assert change.moved == owned
    assert change.moved_share == owned / 65536
    assert change.cut == 0
    assert not change.may_cut
    assert change.backends[2] == BackendShare(draining.address, owned, 0, gained=0, lost=owned)
    assert sum(share.gained for share in change.backends) == owned


def test_removing_a_backend_that_serves_cuts_its_rows(web: BuiltTable) -> None:
    change = diff(web, built(BACKENDS[:3]))

    assert change.cut == change.moved == int((web.rows[:, 0] == 3).sum())
    assert change.may_cut


def test_removing_a_drained_backend_moves_nothing() -> None:
    drained = built([*BACKENDS[:3], replace(BACKENDS[3], state=State.DRAINING)])

    change = diff(drained, built(BACKENDS[:3]))

    assert (change.moved, change.cut) == (0, 0)
    assert change.later_changed > 0


def test_a_new_backend_takes_rows_over_and_cuts_none(web: BuiltTable) -> None:
    new = Backend(ip_address("10.0.0.99"), State.FILLING)

    change = diff(web, built([*BACKENDS, new]))

    assert change.backends[4] == BackendShare(new.address, 0, change.moved, gained=change.moved, lost=0)
    assert change.cut == 0


def test_a_deeper_table_changes_later_hops_only(web: BuiltTable) -> None:
    change = diff(built(BACKENDS, depth=2), web)

    assert (change.moved, change.later_changed, change.cut) == (0, 65536, 0)


def test_another_hash_key_or_a_bind_removed_may_cut(web: BuiltTable) -> None:
    other = replace(BIND, port_start=443, port_end=443)

    rekeyed = diff(web, replace(web, hash_key=bytes(range(16))))
    rebound = diff(web, replace(web, binds=(other,)))

    assert rekeyed.rehashed
    assert rekeyed.may_cut
    assert (rebound.binds_added, rebound.binds_removed) == ((other,), (BIND,))
    assert rebound.may_cut


def test_tables_are_matched_by_name(web: BuiltTable) -> None:
    old, new = [web, replace(web, name="gone")], [replace(web, name="new"), web]

    change = diff_all(old, new)

    assert (change.added, change.removed) == (("new",), ("gone",))
    assert [table.name for table in change.tables] == ["web"]
    assert change.may_cut
    assert not diff_all([web], new).may_cut


def test_a_name_twice_cannot_be_matched(web: BuiltTable) -> None:
    with pytest.raises(TableError, match="only if their names are unique"):
        diff_all([web, web], [web])


def test_a_binary_is_compared_with_its_source_by_position(web: BuiltTable) -> None:
    binary = replace(built(BACKENDS, depth=2), name="table0", seed=None)

    result = diff_all([binary], [web])

    assert (result.added, result.removed) == ((), ())
    assert [(table.name, table.moved, table.cut) for table in result.tables] == [("web", 0, 0)]


def test_reload_line_names_added_removed_and_changed(web: BuiltTable) -> None:
    new = Backend(ip_address("10.0.0.9"))
    changed = built([replace(BACKENDS[0], state=State.DRAINING), *BACKENDS[2:], new])

    assert describe_changes([web], [changed]) == "web: backends +1 -1, 10.0.0.1 active -> draining"
    assert describe_changes([web], [replace(web, binds=())]) == "web: binds +0 -1"
    assert describe_changes([web], [replace(web, name="mail")]) == "table mail added; table web removed"
    assert describe_changes([web], [web]) == "no table, backend, bind or state changed"


def test_reload_line_of_many_changes_is_short() -> None:
    many = [Backend(ip_address(0x0A000001 + i)) for i in range(100)]
    before, after = built(many), built([replace(backend, state=State.DRAINING) for backend in many[:50]] + many[50:])

    assert describe_changes([before], [after]).endswith(", 42 more states")
