# SPDX-License-Identifier: MIT
"""What becomes of established connections: each reason for a loss, and a simulation of where connections live."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glb.config.model import Address, Backend, Bind, Proto, State, Table
from glb.table.build import build
from glb.table.findings import PlanFinding, PlanSeverity, find
from glb.table.lost_hops import lost_hops
from glb.table.model import BuiltTable

ACTIVE, DRAINING, FILLING, INACTIVE = State.ACTIVE, State.DRAINING, State.FILLING, State.INACTIVE
BIND = Bind(ip_network("198.51.100.1"), Proto.TCP, 80, 80)


def backend(number: int, state: State = ACTIVE, healthy: bool = True) -> Backend:
    return Backend(ip_address(0x0A000000 + number), state, healthy)


SIX = tuple(backend(number) for number in range(1, 7))
FIRST = SIX[0].address
WEB = Table("web", bytes(16), bytes(range(16)), (BIND,), SIX)


def web(*backends: Backend, depth: int = 3, binds: tuple[Bind, ...] = (BIND,)) -> BuiltTable:
    return build(replace(WEB, backends=backends, depth=depth, binds=binds))


def draining(*numbers: int) -> tuple[Backend, ...]:
    return tuple(backend(number, DRAINING) if number in numbers else backend(number) for number in range(1, 7))


def told(old: BuiltTable, new: BuiltTable) -> tuple[PlanFinding, ...]:
    return find([old], [new])


HARMLESS = [
    ("nothing changes", SIX, SIX),
    ("the order in the file", SIX, SIX[::-1]),
    ("a drain", SIX, draining(1)),
    ("as many drains at once as the rows have hops", SIX, draining(1, 2)),
    ("a backend that comes back from a drain", draining(1), SIX),
    ("a backend that fails", SIX, (backend(1, healthy=False), *SIX[1:])),
    ("a backend that is filled in", SIX, (*SIX, backend(7, FILLING))),
    ("two backends that are filled in, a row keeping the old first hop behind them", SIX,
     (*SIX, backend(7, FILLING), backend(8, FILLING))),
    ("a new one that is not in use yet", SIX, (*SIX, backend(7, INACTIVE))),
    ("a swap: one is filled in while another drains", SIX, (*draining(1), backend(7, FILLING))),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), [case[1:] for case in HARMLESS], ids=[case[0] for case in HARMLESS])
def test_no_connection_can_be_cut_by(old: tuple[Backend, ...], new: tuple[Backend, ...]) -> None:
    assert told(web(*old), web(*new)) == ()


@pytest.mark.parametrize(
    "new", [draining(1), draining(1, 2), draining(*range(1, 7)), (backend(1, healthy=False), *SIX[1:])]
)
def test_at_depth_2_a_change_of_states_cuts_nothing(new: tuple[Backend, ...]) -> None:
    old = web(*SIX, depth=2)

    assert told(old, web(*new, depth=2)) == ()
    assert told(web(*new, depth=2), old) == ()


CERTAIN = [
    ("an active backend removed", SIX, SIX[1:], 3, "removed while it is active, without a drain", "drain it first"),
    ("a filling one removed", (backend(1, FILLING), *SIX[1:]), SIX[1:], 3, "removed while it is filling", "drain"),
    ("an active one made inactive", SIX, (backend(1, INACTIVE), *SIX[1:]), 3, "becomes inactive while it is active",
     "drain it first"),
    ("as many added at once as a row has hops", SIX, (*SIX, *(backend(n, FILLING) for n in (7, 8, 9))), 3,
     "3 backends are added at once (10.0.0.7, 10.0.0.8, 10.0.0.9)", "add one at a time"),
    ("two added at once at depth 2", SIX, (*SIX, backend(7, FILLING), backend(8, FILLING)), 2,
     "2 backends are added at once (10.0.0.7, 10.0.0.8), so rows of 2 hops lose it", "add one at a time"),
    ("one added while others drain", draining(5, 6), (*draining(5, 6), backend(7, FILLING)), 3,
     "10.0.0.7 is added, and rows of 3 hops", "wait until drains have finished"),
    ("a weight multiplied", SIX, (*SIX[:3], *(replace(b, weight=50.0) for b in SIX[3:])), 3, "weights differ",
     "smaller steps"),
    ("as many come back as drained, where one stood in", draining(1, 2, 3), SIX, 3, "it replaces hops",
     "wait until its connections have closed"),
    ("as many drains as the rows have hops", draining(1, 2), draining(1, 2, 3), 3,
     "all 3 hops of rows would be draining or unhealthy", "wait until another drain has finished"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "depth", "reason", "remedy"), [case[1:] for case in CERTAIN], ids=[case[0] for case in CERTAIN]
)
def test_connections_are_cut_by(
    old: tuple[Backend, ...], new: tuple[Backend, ...], depth: int, reason: str, remedy: str
) -> None:
    before, after = web(*old, depth=depth), web(*new, depth=depth)

    cuts = [finding for finding in told(before, after) if finding.severity is PlanSeverity.CUTS]

    assert any(reason in finding.reason and remedy in finding.remedy for finding in cuts), cuts
    for finding in cuts:
        assert finding.table == "web"
        assert finding.rows == count_cut(before, after, finding.backend)


def count_cut(old: BuiltTable, new: BuiltTable, address: Address | None) -> int:
    rows = [row for row in range(65536) if old.hops(row)[0] == address]
    return sum(address not in new.hops(row) for row in rows)


POSSIBLE = [
    ("a draining backend removed", draining(1), SIX[1:], 3,
     "is removed while it is draining", "last connection has closed"),
    ("a draining one made inactive", draining(1), (backend(1, INACTIVE), *SIX[1:]), 3,
     "becomes inactive while it is draining", "last connection has closed"),
    ("an unhealthy one removed", (backend(1, healthy=False), *SIX[1:]), SIX[1:], 3,
     "is removed while it is active (and unhealthy)", "drain it first"),
    ("one filled in before the last has filled, at depth 2", (*SIX, backend(7, FILLING)),
     (*SIX, backend(7, FILLING), backend(8, FILLING)), 2, "10.0.0.8 is added, and rows of 2 hops",
     "filling backends have their"),
    ("one filled in while another drains", draining(1), (*draining(1), backend(7, FILLING)), 3, "10.0.0.7 is added",
     "wait until drains have finished"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "depth", "reason", "remedy"), [case[1:] for case in POSSIBLE], ids=[case[0] for case in POSSIBLE]
)
def test_older_connections_may_be_cut_by(
    old: tuple[Backend, ...], new: tuple[Backend, ...], depth: int, reason: str, remedy: str
) -> None:
    findings = told(web(*old, depth=depth), web(*new, depth=depth))

    assert {finding.severity for finding in findings} == {PlanSeverity.MAY_CUT}
    assert any(reason in finding.reason and remedy in finding.remedy for finding in findings), findings


def test_a_shallower_table_may_cut_what_drains_and_no_other() -> None:
    assert told(web(*SIX, depth=3), web(*SIX, depth=2)) == ()
    findings = told(web(*draining(1, 2), depth=4), web(*draining(1, 2), depth=3))

    assert {(f.severity, f.reason) for f in findings} == {(PlanSeverity.MAY_CUT, "rows have 3 hops instead of 4")}
    assert {f.backend for f in findings} <= {b.address for b in SIX[:2]}


def test_a_deeper_table_cuts_nothing() -> None:
    assert told(web(*SIX, depth=2), web(*SIX, depth=5)) == ()


def test_another_seed_cuts() -> None:
    findings = told(web(*SIX), build(replace(WEB, seed=bytes(16))))

    assert {f.backend for f in findings} == {b.address for b in SIX}
    assert all((f.severity, "seed differs" in f.reason) == (PlanSeverity.CUTS, True) for f in findings)


def test_another_hash_key_cuts_unless_all_rows_have_all_backends() -> None:
    rekeyed = replace(WEB, hash_key=bytes(range(16, 32)))
    few = SIX[:3]

    cut = told(web(*SIX), build(rekeyed))
    kept = told(web(*few), build(replace(rekeyed, backends=few)))

    assert {f.backend for f in cut} == {b.address for b in SIX}
    assert all((f.severity, "hash key differs" in f.reason) == (PlanSeverity.CUTS, True) for f in cut)
    assert [(f.severity, f.rows) for f in kept] == [(PlanSeverity.NOTE, 65536)]


def test_zones_given_while_others_drain_cut() -> None:
    old = draining(5, 6)
    zoned = tuple(replace(b, zone="b" if b.address == FIRST else "a") for b in old)

    findings = told(web(*old), web(*zoned))

    assert findings
    assert all("zones differ" in f.reason for f in findings)


def test_a_bind_removed_cuts_all_its_connections() -> None:
    second = replace(BIND, port_start=443, port_end=443)

    [finding] = told(web(*SIX, binds=(BIND, second)), web(*SIX))

    assert (finding.severity, finding.backend, finding.rows) == (PlanSeverity.CUTS, None, 65536)
    assert finding.reason == "no table matches packets for 198.51.100.1:443/tcp any more"


def test_a_table_removed_cuts_and_one_that_comes_does_not() -> None:
    other = replace(web(*SIX, binds=(replace(BIND, proto=Proto.UDP),)), name="dns")

    [finding] = find([web(*SIX), other], [other])

    assert (finding.severity, finding.table, finding.backend) == (PlanSeverity.CUTS, "web", None)
    assert find([other], [web(*SIX), other]) == ()


def test_a_table_with_another_name_is_the_same_to_connections() -> None:
    assert find([web(*SIX)], [replace(web(*SIX), name="www")]) == ()


def test_moved_bind_cuts_unless_backends_are_the_same() -> None:
    wide = Bind(ip_network("198.51.100.0/24"), Proto.TCP, 1, 65535)
    others = tuple(backend(number) for number in range(11, 14))
    catch_all, api = web(*SIX, binds=(wide,)), replace(web(*others), name="api")

    taken = find([catch_all], [catch_all, api])

    assert {(f.severity, f.table) for f in taken} == {(PlanSeverity.CUTS, "web -> api")}
    assert {f.backend for f in taken} == {b.address for b in SIX}
    assert find([catch_all], [catch_all, replace(api, backends=SIX, rows=catch_all.rows)]) == ()


def test_udp_flows_are_said_to_move_at_once() -> None:
    udp = (replace(BIND, proto=Proto.UDP),)

    [finding] = told(web(*SIX, binds=udp), web(*draining(1), binds=udp))

    assert finding.severity is PlanSeverity.NOTE
    assert finding.reason.startswith("UDP has no second chance")


SAMPLE = range(0, 65536, 97)


@st.composite
def changed(draw: st.DrawFn, backends: Sequence[Backend], most: int) -> tuple[Backend, ...]:
    """The backends after some random changes."""
    result = list(backends)
    for _ in range(draw(st.integers(1, most))):
        position = draw(st.integers(0, len(result) - 1))
        match draw(st.sampled_from(["add", "remove", "state", "health", "weight"])):
            case "add":
                free = [new for new in map(backend, range(1, 20)) if new.address not in {b.address for b in result}]
                result.append(replace(draw(st.sampled_from(free)), state=FILLING))
            case "remove" if len(result) > 2:
                del result[position]
            case "weight":
                result[position] = replace(result[position], weight=draw(st.sampled_from([0.5, 1.0, 3.0])))
            case "state":
                result[position] = replace(result[position], state=draw(st.sampled_from([ACTIVE, DRAINING, FILLING])))
            case _:
                result[position] = replace(result[position], healthy=not result[position].healthy)
    return tuple(result)


EARLIER = [draining(1), draining(1, 2), (backend(1, healthy=False), *SIX[1:]), (*SIX, backend(7, FILLING))]


@settings(max_examples=25, deadline=None)
@given(data=st.data(), earlier=st.sampled_from(EARLIER), depths=st.tuples(st.integers(2, 4), st.integers(2, 4)))
def test_findings_match_the_simulated_losses(
    data: st.DataObject, earlier: tuple[Backend, ...], depths: tuple[int, int]
) -> None:
    """Connections are opened in each row before an earlier change, and after it; then the planned change is made."""
    first, second = web(*SIX, depth=depths[0]), web(*earlier, depth=depths[0])
    third = web(*data.draw(changed(earlier, most=4)), depth=depths[1])
    lost, findings = lost_hops(second, third), told(second, third)
    told_of = {severity: {f.backend for f in findings if f.severity is severity} for severity in PlanSeverity}

    for row in SAMPLE:
        young, old = second.hops(row)[0], first.hops(row)[0]
        assert (young not in third.hops(row)) == lost.certain[row, 0]
        if lost.certain[row, 0]:
            assert young in told_of[PlanSeverity.CUTS]
        if old != young and old in second.hops(row) and old not in third.hops(row):
            assert lost.possible[row, second.hops(row).index(old)]
            assert old in told_of[PlanSeverity.CUTS] | told_of[PlanSeverity.MAY_CUT]
    assert not lost.certain[:, 1:].any()
    assert not lost.possible[:, 0].any()


OTHER_BIND = Bind(ip_network("198.51.100.2"), Proto.TCP, 80, 80)
NARROW = Bind(ip_network("198.51.100.2"), Proto.TCP, 443, 443)


def severities(findings: Sequence[PlanFinding]) -> list[tuple[PlanSeverity, tuple[str, ...]]]:
    return [(finding.severity, finding.binds) for finding in findings]


def test_a_bind_that_no_packet_has_met_goes_without_a_cut() -> None:
    old, new = web(*SIX, binds=(BIND, OTHER_BIND, NARROW)), web(*SIX)
    unmatched = {("web", str(OTHER_BIND))}

    assert severities(find([old], [new])) == [(PlanSeverity.CUTS, (str(OTHER_BIND), str(NARROW)))]
    assert severities(find([old], [new], unmatched)) == [
        (PlanSeverity.CUTS, (str(NARROW),)),
        (PlanSeverity.NOTE, (str(OTHER_BIND),)),
    ]
    [_, note] = find([old], [new], unmatched)
    assert "counted no packet for it since it was added" in note.reason
    assert "other hosts are not examined" in note.remedy


def test_unmatched_bind_moves_without_a_cut() -> None:
    others = tuple(backend(number) for number in range(11, 17))
    old = [web(*SIX, binds=(BIND, OTHER_BIND)), replace(web(*others, binds=(NARROW,)), name="shop")]
    new = [web(*SIX, binds=(BIND,)), replace(web(*others, binds=(NARROW, OTHER_BIND)), name="shop")]

    assert {finding.severity for finding in find(old, new)} == {PlanSeverity.CUTS}
    assert find(old, new, {("web", str(OTHER_BIND))}) == ()


def test_a_finding_names_the_binds_whose_connections_it_is_about() -> None:
    [finding] = find([web(*draining(1), binds=(BIND, OTHER_BIND))], [web(*SIX[1:], binds=(BIND, OTHER_BIND))])

    assert (finding.severity, finding.binds) == (PlanSeverity.MAY_CUT, (str(BIND), str(OTHER_BIND)))
