# SPDX-License-Identifier: MIT
"""From the results of checks to the health of backends: states, reasons, holds, and the saved state."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from glb.config.health import FULL_SIZE, HealthCheckPolicy, Initial
from glb.config.model import ForwardingTables
from glb.config.parse import parse_tables
from glb.errors import HealthError
from glb.health.check_plan import Check, CheckKind, PlannedCheck, checks_of, plan_checks, without_repetition
from glb.health.check_state import CheckHealth, CheckState, pause
from glb.health.gue import echo_reply, echo_request, padded, source_port, tunnelled, with_usual_ttl
from glb.health.judge import CheckedHealth, Hold, hold, reason
from glb.health.report import report_backends
from glb.health.saved_state import decode, encode, load, save
from glb.health.state import HISTORY, HealthState, SavedState
from glb.health.view import HealthSource, HealthView, with_health
from tests.unit import sources

POLICY = HealthCheckPolicy(rise=2, fall=3)
A, B, C, D = (IPv4Address(f"10.0.0.{number}") for number in range(1, 5))


# States of checks


def ups_after(start: CheckState, results: str, policy: HealthCheckPolicy = POLICY) -> list[bool]:
    """Up or down after each of the results: + passed, - failed."""
    healths = []
    for result in results:
        start = start.after(result == "+", policy)
        healths.append(start.up)
    return healths


@pytest.mark.parametrize(
    ("start", "results", "ups"),
    [
        (CheckState(True), "---", "110"),
        (CheckState(True), "--+---", "111110"),
        (CheckState(True), "--+--+--+", "111111111"),
        (CheckState(False), "++", "01"),
        (CheckState(False), "+-++", "0001"),
        (CheckState(False), "---", "000"),
        (CheckState(True), "---++", "11001"),
    ],
)
def test_only_results_in_a_row_change_a_check(start: CheckState, results: str, ups: str) -> None:
    assert ups_after(start, results) == [up == "1" for up in ups]


def test_an_unchecked_backend_is_up_after_its_first_pass() -> None:
    assert not CheckState.unchecked(POLICY).up
    assert ups_after(CheckState.unchecked(POLICY), "+") == [True]
    assert ups_after(CheckState.unchecked(POLICY), "-++") == [False, False, True]


def test_initial_up_lasts_until_enough_failures() -> None:
    trusting = replace(POLICY, initial=Initial.UP)

    assert ups_after(CheckState.unchecked(trusting), "---", trusting) == [True, True, False]


@given(st.text("+-", max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_health_changes_only_after_enough_equal_results(results: str, rise: int, fall: int) -> None:
    ups = ups_after(CheckState(True), results, HealthCheckPolicy(rise=rise, fall=fall))

    before = True
    for end, up in enumerate(ups, 1):
        assert up == before or results[:end].endswith("+" * rise if up else "-" * fall)
        before = up


def test_the_pause_grows_while_a_check_stays_down() -> None:
    policy = HealthCheckPolicy(interval_ms=400, slow_interval_ms=3000, fall=3)
    health, pauses = CheckState(True), []
    for _ in range(8):
        health = health.after(False, policy)
        pauses.append(pause(health, policy, 0))

    assert pauses == [0.4, 0.4, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0]
    assert pause(health.after(True, policy), policy, 0) == 0.4


def test_a_slow_interval_below_the_interval_has_no_effect() -> None:
    policy = HealthCheckPolicy(interval_ms=400, slow_interval_ms=100, fall=1)

    assert pause(CheckState(False, failed=9), policy, 0) == 0.4


@given(st.floats(-1, 1))
def test_jitter_spreads_the_pause_by_its_share_to_either_side(spread: float) -> None:
    assert 0.36 - 1e-9 <= pause(CheckState(True), HealthCheckPolicy(interval_ms=400, jitter=0.1), spread) <= 0.44 + 1e-9


# Reasons

GUE = Check(CheckKind.GUE, A, 19523)
HTTP = Check(CheckKind.HTTP, A, 80)
SIZE, FULL = (Check(CheckKind.GUE_SIZE, A, 19523, size=size) for size in (1500, FULL_SIZE))
VIP = Check(CheckKind.VIP_TCP, A, 80, ip_address("203.0.113.10"))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({GUE: "answers", HTTP: "status 200"}, "all checks pass"),
        ({GUE: "answers", HTTP: "-status 503"}, "http 80: status 503"),
        ({GUE: "-timeout", HTTP: "-refused"}, "gue 19523: timeout, http 80: refused"),
        ({GUE: "-timeout", HTTP: "-timeout", VIP: "-timeout"}, "host down: timeout"),
        ({GUE: "answers", HTTP: "status 200", VIP: "-refused"}, "host up, VIP not served: refused"),
        ({HTTP: "-timeout"}, "http 80: timeout"),
        ({VIP: "-refused"}, "vip_tcp 80: refused"),
        ({GUE: "?", HTTP: "?"}, "not checked yet"),
        (
            {GUE: "answers", SIZE: "-timeout"},
            "packets of 1500 bytes are lost; small ones arrive: MTU of a switch or router?",
        ),
        (
            {GUE: "answers", FULL: "-timeout"},
            "packets of full size are lost; small ones arrive: MTU of a switch or router?",
        ),
        ({GUE: "answers", SIZE: "-refused"}, "gue_size 1500: refused"),
        ({GUE: "answers", SIZE: "-timeout", HTTP: "-refused"}, "gue_size 1500: timeout, http 80: refused"),
        ({GUE: "-timeout", SIZE: "-timeout"}, "host down: timeout"),
        ({GUE: "?", HTTP: "-refused"}, "http 80: refused"),
    ],
)
def test_the_reason_names_what_fails(found: Mapping[Check, str], expected: str) -> None:
    checks = [
        (
            PlannedCheck(check, POLICY),
            CheckHealth(CheckState(up=text[0] not in "-?", checked=text != "?"), text.lstrip("-")),
        )
        for check, text in found.items()
    ]

    assert reason(checks) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({GUE: "answers", VIP: "-timeout"}, "host up, VIP not served: timeout"),
        ({GUE: "answers", VIP: "+connects"}, "vip_tcp 80: passes again, but not yet 2 times in a row"),
        ({GUE: "!timeout", VIP: "-timeout"}, "vip_tcp 80: timeout"),
        ({GUE: "!timeout", HTTP: "status 200", VIP: "-timeout"}, "host up, VIP not served: timeout"),
        (
            {HTTP: "+status 200", VIP: "-refused"},
            "http 80: passes again, but not yet 2 times in a row, vip_tcp 80: refused",
        ),
    ],
)
def test_a_reason_contradicts_no_result(found: Mapping[Check, str], expected: str) -> None:
    """-: down. +: down, and passes again. !: up, and fails for the first time."""
    checks = [
        (
            PlannedCheck(check, POLICY),
            CheckHealth(CheckState(up=text[0] not in "-+", against=int(text[0] in "+!")), text.lstrip("-+!")),
        )
        for check, text in found.items()
    ]

    assert reason(checks) == expected


def test_a_host_that_is_dying_is_not_reported_as_a_small_mtu() -> None:
    """The small echo has failed too, though not often enough to be down."""
    failing = CheckHealth(CheckState(True, against=2, failed=2), "timeout")
    checks = [
        (PlannedCheck(GUE, POLICY), failing),
        (PlannedCheck(FULL, POLICY), CheckHealth(CheckState(False), "timeout")),
    ]

    assert reason(checks) == "gue_size full: timeout"


def test_a_gue_check_of_a_size_is_made_beside_the_small_one() -> None:
    raw = sources.put(sources.tables(), "tables.0.backends.0.healthchecks", {"gue": 19523, "gue_size": "full"})
    table = parse_tables(json.dumps(raw), "ft.json").tables[0]

    small, full = checks_of(table, table.backends[0])

    assert (small.label, full.label) == ("gue 19523", "gue_size full")
    assert small.key != full.key


# Holds


def checked(fell: Mapping[IPv4Address, float | None], up: Sequence[IPv4Address]) -> dict[Any, CheckedHealth]:
    down = {address: CheckedHealth(False, True, "timeout", when) for address, when in fell.items()}
    return down | {address: CheckedHealth(True, True, "", None) for address in up}


def test_more_than_the_share_failing_at_once_is_kept_up() -> None:
    held = hold(checked({A: 99.0, B: 99.5, C: 100.0, D: 100.0}, []), 0.75, 2.0, None, 100.0)

    assert held == Hold(100.0, frozenset({A, B, C, D}))


def test_failures_at_once_are_held_even_if_judged_late() -> None:
    held = hold(checked({A: 90.0, B: 90.5, C: 90.2}, []), 0.75, 2.0, None, judged=89.0)

    assert held == Hold(90.5, frozenset({A, B, C}))


def test_the_share_itself_may_fail_without_a_hold() -> None:
    assert hold(checked({A: 100.0, B: 100.0, C: 100.0}, [D]), 0.75, 2.0, None, 100.0) is None


def test_a_hold_keeps_earlier_failures_down() -> None:
    held = hold(checked({A: 10.0, B: 100.0, C: 100.0, D: None}, []), 0.75, 2.0, None, 100.0)

    assert held == Hold(100.0, frozenset({B, C}))


def test_without_a_recent_failure_there_is_no_hold() -> None:
    assert hold(checked({A: None, B: 10.0}, []), 0.5, 2.0, None, 100.0) is None


def test_a_hold_lasts_until_enough_backends_pass() -> None:
    before = Hold(100.0, frozenset({A, B, C}))

    still = hold(checked({A: 99.0, B: 99.0, C: 99.0, D: 500.0}, []), 0.75, 2.0, before, 501.0)

    assert still == Hold(100.0, frozenset({A, B, C, D}))
    assert hold(checked({A: 99.0, B: 99.0, C: 99.0}, [D]), 0.75, 2.0, still, 502.0) is None


# The state


class World:
    """Two tables with three backends that are checked by TCP, and a clock."""

    def __init__(self, saved: SavedState | None = None, followed: ForwardingTables | None = None) -> None:
        self.time = 1000.0
        self.state = HealthState(saved or SavedState(), lambda: self.time)
        self.follow(followed or tables())

    def follow(self, followed: ForwardingTables) -> None:
        self.state.follow(plan_checks([followed], lambda _: None))
        self.state.settle()

    def result(self, address: IPv4Address, passed: bool, found: str = "refused") -> None:
        """Lift or drop the checks of a backend."""
        for planned, known in list(self.state.checks.items()):
            if planned.check.address == address:
                fell = self.time if known.state.up and not passed else None if passed else known.fell
                self.state.update(planned, CheckHealth(CheckState(passed), "connects" if passed else found, fell))
        self.state.settle()

    def health(self, address: IPv4Address, table: str = "one") -> tuple[bool, HealthSource] | None:
        known = self.state.health(table, address)
        return None if known is None else (known.healthy, known.source)


def tables(**changes: Any) -> ForwardingTables:
    """Of the names one and two; `changes` are those of the first table's first backend."""
    raw = sources.tables()
    raw["tables"] = [{**raw["tables"][0], "name": name} for name in ("one", "two")]
    for table in raw["tables"]:
        table["binds"] = [{"ip": f"198.51.100.{len(table['name'])}", "proto": "tcp", "port": len(table["name"]) + 80}]
        table["backends"] = [
            {"ip": str(address), "state": "active", "healthy": True, "healthchecks": {"tcp": 80}}
            for address in (A, B, C)
        ]
    raw["tables"][1]["binds"][0]["port"] = 8080
    raw["tables"][0]["backends"][0] |= changes
    return parse_tables(json.dumps(raw), "ft.json")


def all_up() -> World:
    world = World()
    for address in (A, B, C):
        world.result(address, True)
    return world


def test_the_same_check_of_several_tables_is_made_once() -> None:
    assert len(World().state.checks) == 3


def test_the_same_check_by_another_policy_is_made_separately() -> None:
    world = World()
    world.follow(tables(healthchecks={"tcp": 80, "interval_ms": 50}))

    assert len(world.state.checks) == 4


def test_the_first_edition_that_lists_a_backend_applies() -> None:
    newer, older = tables(healthchecks={"tcp": 81}), tables(ip=str(D), healthchecks={"tcp": 82})
    made = plan_checks(without_repetition([newer, older, newer]), lambda _: None)

    assert [table.name for table in made.tables] == ["one", "two"]
    assert [(b.address, [p.check.port for p in b.checks]) for b in made.tables[0].backends] == [
        (A, [81]),
        (B, [80]),
        (C, [80]),
        (D, [82]),
    ]
    assert without_repetition([newer, older, newer]) == (newer, older)
    assert without_repetition([newer, tables(state="draining")]) == (newer,)


def test_an_inactive_backend_is_not_checked() -> None:
    world = World()
    world.follow(tables(state="inactive"))

    assert world.health(A) is None
    assert [
        p.check.address for p in plan_checks([tables(state="inactive")], lambda _: None).tables[0].backends[0].checks
    ] == []


def test_a_backend_without_checks_is_as_healthy_as_the_file_says() -> None:
    world = World()
    world.follow(tables(healthy=False, healthchecks={}))

    assert world.health(A) == (False, HealthSource.FILE)


def test_an_impossible_check_is_left_out_and_reported() -> None:
    made = plan_checks([tables()], lambda check: "no route" if check.address == A else None)

    assert made.tables[0].backends[0].checks == ()
    assert made.impossible() == {"one: 10.0.0.1: tcp 80: no route", "two: 10.0.0.1: tcp 80: no route"}


def test_health_survives_a_reload_with_another_policy() -> None:
    world = all_up()
    world.result(B, False)
    world.follow(tables(healthchecks={"tcp": 80, "fall": 7}))

    assert [world.health(address) for address in (A, B)] == [(True, HealthSource.CHECKS), (False, HealthSource.CHECKS)]


VIP_CHECKS = {"gue": 19523, "vip_tcp": 83, "rise": 3, "fall": 1}
PASSES_AGAIN = "vip_tcp 83: passes again, but not yet 3 times in a row"


def flapping() -> World:
    """The check of the VIP at backend A has failed, and has passed once since."""
    world = World(followed=tables(healthchecks=VIP_CHECKS))
    for planned in [planned for planned in world.state.checks if planned.check.address == A]:
        state, found = CheckState(True), "answers"
        if planned.check.vip is not None:
            state, found = CheckState(False, against=1), "connects"
        world.state.update(planned, CheckHealth(state, found))
    world.state.settle()
    return world


def reason_of(world: World) -> str:
    health = world.state.health("one", A)
    assert health is not None
    return health.reason


def test_a_reload_keeps_the_reason_of_a_check_that_passes_again() -> None:
    world = flapping()
    assert reason_of(world) == PASSES_AGAIN

    world.follow(tables(healthchecks={**VIP_CHECKS, "interval_ms": 50}))

    assert reason_of(world) == PASSES_AGAIN


def test_a_restart_keeps_the_reason_of_a_check_that_passes_again() -> None:
    saved = decode(encode(flapping().state.saved()))

    assert reason_of(World(saved, tables(healthchecks=VIP_CHECKS))) == PASSES_AGAIN


def test_the_latest_changes_are_kept_with_time_and_reason() -> None:
    world = all_up()
    for number in range(HISTORY):
        world.time += 1
        world.result(A, number % 2 == 1, "timeout")

    changes = world.state.history("one", A)

    assert len(changes) == HISTORY
    assert (changes[0].when, changes[0].healthy, changes[0].reason) == (1001.0, False, "tcp 80: timeout")
    assert (changes[-1].when, changes[-1].healthy, changes[-1].reason) == (1064.0, True, "all checks pass")


def test_each_reason_of_a_backend_that_stays_down_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    world = all_up()
    for found in ("timeout", "refused", "timeout", "refused"):
        world.result(A, False, found)

    lines = [message for message in caplog.messages if message.startswith("one: 10.0.0.1")]
    assert lines == [
        "one: 10.0.0.1 is down: tcp 80: timeout",
        "one: 10.0.0.1 stays down, for another reason: tcp 80: refused",
    ]


def test_a_backend_with_changing_reasons_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    world = all_up()
    for number in range(100):
        world.result(A, False, f"status {number}")

    assert len([message for message in caplog.messages if message.startswith("one: 10.0.0.1")]) < 10


@pytest.mark.parametrize("initial", ["down", "up"])
def test_only_added_backends_are_logged_when_first_up(initial: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = all_up()
    assert not caplog.messages
    world.follow(tables(ip=str(D), healthchecks={"tcp": 80, "initial": initial}))
    world.result(D, True)

    assert caplog.messages == ["one: 10.0.0.4 is up: all checks pass"]


def test_an_override_applies_until_it_is_removed() -> None:
    world = all_up()

    world.state.set("one", A, False, "disk change")
    assert world.health(A) == (False, HealthSource.SET)
    assert world.health(A, "two") == (True, HealthSource.CHECKS)
    world.result(A, False)
    world.result(A, True)
    assert world.health(A) == (False, HealthSource.SET)
    world.state.set("one", A, None, "")
    assert world.health(A) == (True, HealthSource.CHECKS)


@pytest.mark.parametrize(
    ("table", "address", "expected"),
    [
        ("three", A, 'no table "three"; there are one, two'),
        ("one", D, 'table "one" has no backend 10.0.0.4; it has 10.0.0.1, 10.0.0.2, 10.0.0.3'),
    ],
)
def test_unknown_tables_and_backends_cannot_be_set(table: str, address: IPv4Address, expected: str) -> None:
    with pytest.raises(HealthError) as caught:
        World().state.set(table, address, True, "")

    assert str(caught.value) == expected


def test_a_hold_begins_when_all_fail_and_ends_when_one_returns() -> None:
    world = all_up()
    for address in (A, B, C):
        world.result(address, False)
    held = [world.health(address) for address in (A, B, C)]
    world.time += 1000
    world.result(C, True)

    assert held == [(True, HealthSource.HELD)] * 3
    assert [world.health(address) for address in (A, B, C)] == [
        (False, HealthSource.CHECKS),
        (False, HealthSource.CHECKS),
        (True, HealthSource.CHECKS),
    ]


def test_a_table_is_cut_off_if_only_the_hold_keeps_it_up() -> None:
    world = all_up()
    for address in (A, B, C):
        assert world.state.cut_off() == frozenset()
        world.result(address, False)
    assert world.state.cut_off() == {"one", "two"}
    assert world.state.held()[:2] == (("one", A, "tcp 80: refused"), ("one", B, "tcp 80: refused"))

    world.state.set("one", A, True, "known to serve")
    assert world.state.cut_off() == {"two"}
    world.result(C, True)
    assert world.state.cut_off() == frozenset()


def test_a_held_table_with_a_passing_backend_is_not_cut_off() -> None:
    world = all_up()
    world.follow(ForwardingTables(tuple(replace(table, hold_share=0.5) for table in tables().tables)))
    for address in (A, B):
        world.result(address, False)

    assert world.health(A) == (True, HealthSource.HELD)
    assert world.state.cut_off() == frozenset()


def test_an_override_does_not_count_as_failed() -> None:
    world = all_up()
    world.state.set("one", A, False, "disk change")
    world.result(B, False)

    assert world.health(B) == (False, HealthSource.CHECKS)
    assert world.state.hold("one") is None


def test_a_copy_for_another_thread_stays_as_it_was() -> None:
    world = all_up()
    world.follow(tables(state="inactive"))
    world.state.set("one", B, False, "disk change")
    before = world.state.saved()

    copy = world.state.copy()
    world.state.set("one", B, None, "")
    for address in (A, B, C):
        world.result(address, False)

    assert copy.saved() == before != world.state.saved()


def test_the_report_has_the_latest_result_of_each_check() -> None:
    world = all_up()
    world.result(A, False, "timeout")

    report = next(report_backends(world.state))

    assert (report.table, report.address, report.state, report.healthy, report.source) == (
        "one",
        "10.0.0.1",
        "active",
        False,
        "checks",
    )
    assert [(check.check, check.up, check.found) for check in report.checks] == [("tcp 80", False, "timeout")]


# Health in tables


def test_the_health_of_the_view_replaces_that_of_the_file() -> None:
    world = all_up()
    world.result(B, False)

    over = with_health(tables(), world.state.view())

    assert [backend.healthy for backend in over.tables[0].backends] == [True, False, True]
    assert over.tables[0].backends[0] == tables().tables[0].backends[0]


@pytest.mark.parametrize(
    ("changes", "healthy"),
    [
        ({}, False),
        ({"healthchecks": {"tcp": 80, "initial": "up"}}, True),
        ({"healthchecks": {}}, True),
        ({"healthchecks": {}, "healthy": False}, False),
    ],
    ids=["down until its first pass", "up if so configured", "without checks the file's", "be it down"],
)
def test_a_backend_that_the_view_does_not_know(changes: dict[str, Any], healthy: bool) -> None:
    over = with_health(tables(**changes), HealthView())

    assert over.tables[0].backends[0].healthy is healthy


# Restarts


def test_the_whole_state_survives_a_restart(tmp_path: Path) -> None:
    world = all_up()
    for address in (A, B, C):
        world.result(address, False)
    world.state.set("two", C, True, "trust me")
    path = tmp_path / "state" / "health.json"

    save(path, world.state.saved())
    after = World(load(path))

    assert after.state.saved() == world.state.saved()
    assert after.state.view() == world.state.view()
    assert after.health(A) == (True, HealthSource.HELD)
    assert after.health(C, "two") == (True, HealthSource.SET)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "null", '{"version": 2}', '{"version": 1, "checks": 7, "backends": [], "holds": []}'],
)
def test_an_unreadable_state_is_ignored_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    path = tmp_path / "health.json"
    path.write_text(content)

    assert load(path) == SavedState()
    assert str(path) in caplog.text


@given(st.data())
def test_a_half_written_state_is_never_accepted(data: st.DataObject) -> None:
    whole = encode(all_up().state.saved())
    half = whole[: data.draw(st.integers(0, len(whole) - 3))]

    with pytest.raises(json.JSONDecodeError):
        decode(half)


def test_a_missing_state_is_not_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(tmp_path / "none.json") == SavedState()
    assert caplog.text == ""


# Packets


def test_an_echo_request_is_well_formed_and_has_no_hops() -> None:
    packet = echo_request(A, B, 4711, 42)

    parsed = IP(packet)
    assert (parsed.src, parsed.dst, parsed.proto, parsed.ttl) == (str(A), str(B), 1, 64)
    assert (parsed[ICMP].type, parsed[ICMP].id, parsed[ICMP].seq) == (8, 4711, 42)
    again = IP(packet)
    del again.chksum, again[ICMP].chksum
    assert bytes(again) == packet
    assert tunnelled(packet) == bytes([0x01, 4, 0, 0, 0, 0, 0, 0]) + packet


def test_padding_is_outside_of_the_inner_packet() -> None:
    payload = tunnelled(echo_request(A, B, 4711, 42))

    outer = IP(src=str(A), dst=str(B)) / UDP(dport=19523) / padded(payload, 1500)

    assert len(bytes(outer)) == 1500
    assert padded(payload, 1500).rstrip(b"\0") == payload.rstrip(b"\0")
    assert padded(payload, 20) == payload


def test_an_echo_reply_has_its_source_and_request() -> None:
    assert echo_reply(bytes(IP(src=str(B)) / ICMP(type=0, id=4711, seq=42))) == (B, 4711, 42)
    assert echo_reply(bytes(IP(src=str(B)) / ICMP(type=8, id=4711, seq=42))) is None
    assert echo_reply(bytes(IP(src=str(B)) / ICMP(type=0))[:24]) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (IP(ttl=1, options=b"\1\1\1\1") / TCP(), IP(ttl=64, options=b"\1\1\1\1") / TCP()),
        (IPv6(hlim=1) / TCP(), IPv6(hlim=64) / TCP()),
    ],
    ids=["IPv4", "IPv6"],
)
def test_a_packet_gets_its_usual_ttl_in_the_tunnel(before: Packet, after: Packet) -> None:
    assert with_usual_ttl(bytes(before)) == bytes(after)


def test_packets_of_checks_are_identified_by_source_port() -> None:
    assert source_port(bytes(IP() / TCP(sport=4711))) == (4, 4711)
    assert source_port(bytes(IPv6() / TCP(sport=4711))) == (6, 4711)
    assert source_port(bytes(IP() / ICMP())) is None
    assert tunnelled(bytes(IPv6() / TCP()))[1] == 41
