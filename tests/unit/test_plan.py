# SPDX-License-Identifier: MIT
"""What a plan says of a change, apart from its findings."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from pydantic import TypeAdapter

from glb.config.model import Backend, Bind, HealthChecks, Proto, State, Table
from glb.table.build import build
from glb.table.findings import PlanSeverity
from glb.table.model import BuiltTable
from glb.table.plan import Plan, PlanAction, plan_change

BIND = Bind(ip_network("198.51.100.1"), Proto.TCP, 80, 80)
OTHER_BIND = replace(BIND, port_start=443, port_end=443)
BACKENDS = tuple(Backend(ip_address(0x0A000000 + number)) for number in range(1, 5))
WEB = Table("web", bytes(16), bytes(range(16)), (BIND,), BACKENDS)


def built(*backends: Backend, **changes: object) -> BuiltTable:
    return build(replace(WEB, backends=backends or BACKENDS, **changes))  # type: ignore[arg-type]


def test_the_same_tables_are_no_change() -> None:
    plan = plan_change([built()], [built()])

    assert (plan.changes, plan.changed, plan.findings, plan.cuts) == (False, (), (), ())


def test_plan_of_a_drain_shows_gained_and_lost_rows() -> None:
    drained = replace(BACKENDS[0], state=State.DRAINING)

    [table] = plan_change([built()], [built(drained, *BACKENDS[1:])]).changed

    first, *others = table.backends
    assert (first.action, first.before, first.after) == (PlanAction.CHANGE, State.ACTIVE, State.DRAINING)
    assert (first.lost, first.rows_after) == (first.rows_before, 0)
    assert [other.action for other in others] == [PlanAction.KEEP] * 3
    assert sum(other.gained for other in others) == first.lost == table.rows_moved
    assert table.moved_share == table.rows_moved / 65536


def test_plan_shows_added_and_removed_backends() -> None:
    new = Backend(ip_address("10.0.0.9"), State.FILLING)

    [table] = plan_change([built()], [built(*BACKENDS[1:], new)]).changed

    told = {str(b.address): (b.action, b.before, b.after) for b in table.backends if b.action is not PlanAction.KEEP}
    assert told == {
        "10.0.0.1": (PlanAction.REMOVE, State.ACTIVE, None),
        "10.0.0.9": (PlanAction.ADD, None, State.FILLING),
    }


def test_plan_shows_each_difference_of_a_backend() -> None:
    other = replace(BACKENDS[0], healthy=False, weight=2.5, zone="b", healthchecks=HealthChecks(http=80))

    [table] = plan_change([built()], [built(other, *BACKENDS[1:])]).changed

    assert table.backends[0].changes == (
        "healthy yes -> no",
        "other healthchecks",
        "weight 1 -> 2.5",
        "zone none -> b",
    )


def test_plan_shows_settings_and_binds() -> None:
    [table] = plan_change(
        [built()], [built(depth=2, hash_key=bytes(range(16)), seed=bytes(16), binds=(OTHER_BIND,))]
    ).changed

    assert table.settings == ("another hash_key", "another seed", "depth 3 -> 2")
    assert (table.binds_added, table.binds_removed) == (("198.51.100.1:443/tcp",), ("198.51.100.1:80/tcp",))


def test_plan_shows_added_and_removed_tables() -> None:
    plan = plan_change([built(name="old")], [built(name="new", binds=(OTHER_BIND,))])

    assert [(table.name, table.binds) for table in plan.added] == [("new", ("198.51.100.1:443/tcp",))]
    assert [table.name for table in plan.removed] == ["old"]
    assert plan.removed[0].backends[0] == "10.0.0.1 active"
    assert [finding.severity for finding in plan.cuts] == [PlanSeverity.CUTS]


def test_findings_come_the_worst_first() -> None:
    old = built(replace(BACKENDS[0], state=State.DRAINING), *BACKENDS[1:])

    plan = plan_change([old], [built(*BACKENDS[2:])])

    assert [(f.severity, str(f.backend)) for f in plan.findings] == [
        (PlanSeverity.CUTS, "10.0.0.2"),
        (PlanSeverity.MAY_CUT, "10.0.0.1"),
    ]
    assert [str(f.backend) for f in plan.cuts] == ["10.0.0.2"]


def test_a_plan_goes_through_json_and_back() -> None:
    plan = plan_change([built()], [built(*BACKENDS[1:])])
    adapter = TypeAdapter(Plan)

    assert adapter.validate_json(adapter.dump_json(plan)) == plan
