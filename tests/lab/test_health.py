# SPDX-License-Identifier: MIT
"""Backends fail in every supported manner and return; their health survives the daemon."""

import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from glb.config.parse import parse_tables
from glb.control.client import Client
from glb.health.saved_state import load
from glb.health.vip_tunnel import MARK
from glb.lab import Lab, hosts, links
from glb.table.digest import digest_of_source
from tests.conftest import unique_name
from tests.lab.helpers.commands import facts, glbctl
from tests.lab.helpers.director import replace_text
from tests.lab.helpers.kernel import generation, without_room
from tests.lab.helpers.packets import wait_for

DIRECTOR = "director1"
PROXIES = ("proxy1", "proxy2", "proxy3", "proxy4")
POLICY = {"interval_ms": 200, "timeout_ms": 500, "trigger": 2, "slow_interval_ms": 200}
CHECKS = {"gue": 19523, "http": 80, "vip_http": 80}
REQUESTS = 30
MAIN_TABLE = 254


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One director, which checks four proxies quickly, by every kind of check."""
    with Lab.up(unique_name(), owned=True, directors=1, proxies=len(PROXIES)) as lab:
        source = json.loads(lab.table_path.read_text())
        source["healthchecks"] = POLICY
        for backend in source["tables"][0]["backends"]:
            backend["healthchecks"] = CHECKS
        reload(lab, source)
        yield lab


@pytest.fixture(autouse=True)
def _all_healthy(lab: Lab) -> Iterator[None]:
    """Each test begins and ends with what is there being healthy."""
    wait_for(lambda: all(backend["healthy"] for backend in backends(lab)), "all backends are healthy")
    yield
    wait_for(lambda: all(backend["healthy"] for backend in backends(lab)), "all backends are healthy again")


def reload(lab: Lab, source: dict[str, Any]) -> None:
    replace_text(lab.table_path, json.dumps(source))
    [outcome] = api(lab).post("/v1/reload")
    assert outcome["reloaded"], outcome["error"]


def api(lab: Lab) -> Client:
    return Client(lab.run_dir / f"{DIRECTOR}.sock")


def address(proxy: str) -> str:
    return str(hosts.proxy(int(proxy.removeprefix("proxy"))).addresses[0].ip)


def backends(lab: Lab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api(lab).get("/v1/health")["backends"]
    return found


def health(lab: Lab, proxy: str) -> dict[str, Any]:
    return next(backend for backend in backends(lab) if backend["address"] == address(proxy))


def wait_until(lab: Lab, proxy: str, **wanted: Any) -> None:
    """Wait until a proxy's reported health is this, and the tables in force agree."""
    wait_for(lambda: wanted.items() <= health(lab, proxy).items(), f"{proxy} is {wanted}")
    if "healthy" in wanted:
        wait_for(
            lambda: in_force(lab)[address(proxy)].endswith("unhealthy") != wanted["healthy"],
            f"{proxy} is so in the tables in force",
        )


def in_force(lab: Lab) -> dict[str, str]:
    [report] = api(lab).get("/v1/status")
    states: dict[str, str] = report["tables"][0]["backends"]
    return states


def served(lab: Lab) -> set[str]:
    """By whom new connections of many clients are served, every one of them at the first attempt."""
    with lab.traffic("spread", "--count", str(REQUESTS)) as traffic:
        assert traffic.wait().flawless
    return {str(finished.proxy) for finished in traffic.finished}


def signal_server(lab: Lab, proxy: str, number: signal.Signals) -> None:
    assert lab.process_id(proxy, "nginx").send(number)


@contextmanager
def refused_by_the_kernel(lab: Lab) -> Iterator[None]:
    """The file has tables that the kernel has refused: they have a bind for whose kind there is no room, a new backend
    in the place of proxy2, and another check of proxy1. At the end of the block they are taken, and undone."""
    before = json.loads(lab.table_path.read_text())
    newer = json.loads(lab.table_path.read_text())
    table = newer["tables"][0]
    table["binds"].append({"ip": str(hosts.VIP_NET4), "proto": "tcp", "port_start": 8000, "port_end": 8099})
    table["backends"][0]["healthchecks"] = {"tcp": 81}
    table["backends"][1] |= {"ip": "10.77.0.99"}
    try:
        with without_room(lab.pin_dir / DIRECTOR / "wide_binds"):
            replace_text(lab.table_path, json.dumps(newer))
            [outcome] = api(lab).post("/v1/reload")
            assert "the old tables stay in force" in outcome["error"]
            yield
        wait_for(lambda: address("proxy2") not in in_force(lab), "the newer tables are taken once there is room")
    finally:
        reload(lab, before)


@contextmanager
def refused_as_damaged(lab: Lab) -> Iterator[None]:
    """For the time of the block, the file is a damaged binary, which names no backend."""
    before = json.loads(lab.table_path.read_text())
    lab.table_path.write_bytes(b"GLBD and no more")
    [outcome] = api(lab).post("/v1/reload")
    try:
        assert "truncated" in outcome["error"]
        yield
    finally:
        reload(lab, before)


@contextmanager
def killed(lab: Lab, proxy: str) -> Iterator[None]:
    lab.kill(proxy, "nginx")
    try:
        yield
    finally:
        lab.start_web_server(proxy)


@contextmanager
def stopped(lab: Lab, proxy: str) -> Iterator[None]:
    """The kernel still takes connections for the server, which never answers."""
    signal_server(lab, proxy, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_server(lab, proxy, signal.SIGCONT)


def replaced(**changes: int) -> Callable[[Lab, str], Any]:
    """Another server is started in its place."""

    @contextmanager
    def change(lab: Lab, proxy: str) -> Iterator[None]:
        with killed(lab, proxy):
            lab.start_web_server(proxy, **changes)
            try:
                yield
            finally:
                lab.kill(proxy, "nginx")

    return change


@contextmanager
def without_vip(lab: Lab, proxy: str) -> Iterator[None]:
    def change(verb: str) -> None:
        with IPRoute() as ip:
            ip.addr(verb, index=ip.link_lookup(ifname="lo")[0], address=str(hosts.VIP4), prefixlen=32)

    lab.within(proxy, lambda: change("del"))
    try:
        yield
    finally:
        lab.within(proxy, lambda: change("add"))


@contextmanager
def unplugged(lab: Lab, proxy: str) -> Iterator[None]:
    def change(state: str) -> None:
        with IPRoute() as ip:
            ip.link("set", index=ip.link_lookup(ifname=proxy)[0], state=state)

    lab.within("dc", lambda: change("down"))
    try:
        yield
    finally:
        lab.within("dc", lambda: change("up"))


FAILURES = {
    "the process is gone": (killed, "http 80: refused, vip_http 80: refused"),
    "it hangs": (stopped, "http 80: timeout, vip_http 80: timeout"),
    "its port is refused": (replaced(port=8080), "http 80: refused, vip_http 80: refused"),
    "it says 503": (replaced(status=503), "http 80: status 503, vip_http 80: status 503"),
    "it does not serve the VIP": (without_vip, "host up, VIP not served: timeout"),
    "the host is off the network": (unplugged, "host down: timeout"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_backend_gets_no_new_connections(lab: Lab, failure: str) -> None:
    fail, reason = FAILURES[failure]

    with fail(lab, "proxy1"):
        wait_until(lab, "proxy1", healthy=False)
        wait_until(lab, "proxy1", reason=reason)
        assert "proxy1" not in served(lab)
    wait_until(lab, "proxy1", healthy=True, reason="all checks pass")
    assert served(lab) == set(PROXIES)


@contextmanager
def small_port(lab: Lab, proxy: str) -> Iterator[None]:
    """The bridge's port to the proxy drops packets of more than 1500 bytes, without an ICMP error."""

    def change(mtu: int) -> None:
        with IPRoute() as ip:
            ip.link("set", index=ip.link_lookup(ifname=proxy)[0], mtu=mtu)

    lab.within("dc", lambda: change(1500))
    try:
        yield
    finally:
        lab.within("dc", lambda: change(hosts.DC_MTU))


@contextmanager
def configured_mtu(lab: Lab, mtu: int) -> Iterator[None]:
    """For the time of the block, `mtu` of director.conf limits what the director sends."""
    path = lab.run_dir / f"{DIRECTOR}.conf"
    before = path.read_text()

    def take(text: str) -> None:
        replace_text(path, text)
        [outcome] = api(lab).post("/v1/reload")
        assert outcome["reloaded"], outcome["error"]

    take(json.dumps(json.loads(before) | {"mtu": mtu}))
    try:
        yield
    finally:
        take(before)


def test_lost_large_packets_take_a_backend_down_with_gue_size(lab: Lab) -> None:
    before = json.loads(lab.table_path.read_text())
    sized = json.loads(lab.table_path.read_text())
    sized["tables"][0]["backends"][0]["healthchecks"] = CHECKS | {"gue_size": "full"}
    reload(lab, sized)
    try:
        wait_until(lab, "proxy1", healthy=True, reason="all checks pass")
        with small_port(lab, "proxy1"), small_port(lab, "proxy2"):
            wait_until(lab, "proxy1", healthy=False)
            assert "packets of full size are lost" in health(lab, "proxy1")["reason"]
            assert health(lab, "proxy2")["healthy"]
            with configured_mtu(lab, 1500):
                wait_until(lab, "proxy1", healthy=True)
        wait_until(lab, "proxy1", healthy=True)
    finally:
        reload(lab, before)


@pytest.mark.parametrize("refused", [refused_by_the_kernel, refused_as_damaged])
def test_tables_in_force_follow_health_while_newer_are_refused(
    lab: Lab, refused: Callable[[Lab], AbstractContextManager[None]]
) -> None:
    known = [backend["address"] for backend in backends(lab)]
    with set_down(lab, "proxy4"), refused(lab):
        assert [backend["address"] for backend in backends(lab)] == known
        assert health(lab, "proxy4")["source"] == "set"
        with killed(lab, "proxy2"):
            wait_until(lab, "proxy2", healthy=False)
            assert served(lab) == {"proxy1", "proxy3"}
        wait_until(lab, "proxy2", healthy=True)
        with killed(lab, "proxy1"):
            wait_until(lab, "proxy1", healthy=False)
            assert served(lab) == {"proxy2", "proxy3"}
        wait_until(lab, "proxy1", healthy=True)


@contextmanager
def set_down(lab: Lab, proxy: str) -> Iterator[None]:
    place = f"/v1/tables/web/backends/{address(proxy)}/health"
    api(lab).put(place, {"health": "down"})
    try:
        yield
    finally:
        api(lab).put(place, {"health": "auto"})


def test_a_refused_load_becomes_a_version_once_in_force(lab: Lab, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(lab.table_path.read_text())
    with refused_by_the_kernel(lab):
        newest, newer = versions(lab)[0], lab.table_path.read_text()
        assert not facts(lab, DIRECTOR, "table", "plan", str(before))["changes"]
        assert facts(lab, DIRECTOR, "table", "plan", str(lab.table_path))["changes"]
        [report] = api(lab).get("/v1/status")
        assert "No space left on device" in report["error"]
    digest = digest_of_source(parse_tables(newer, "newer"))
    [later, *_] = [version for version in versions(lab) if version["digest"] == digest]

    assert later["number"] == newest["number"] + 1
    assert versions(lab)[0]["digest"] == newest["digest"]


def versions(lab: Lab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api(lab).get("/v1/tables/history")["versions"]
    return found


def test_health_is_held_while_all_backends_fail(lab: Lab) -> None:
    for proxy in PROXIES:
        signal_server(lab, proxy, signal.SIGSTOP)
    wait_for(lambda: all(backend["source"] == "held" for backend in backends(lab)), "all backends are held")
    listed = glbctl(lab, DIRECTOR, "backend", "list")
    held = [backend["healthy"] for backend in backends(lab)]
    for proxy in PROXIES:
        signal_server(lab, proxy, signal.SIGCONT)
    wait_until(lab, "proxy4", healthy=True, source="checks")

    assert held == [True] * len(PROXIES)
    assert "web: too many backends fail at once; newly failed backends stay up (hold_share)" in listed.stdout
    assert "ERROR web: more than 75 % of the checked backends fail" in lab.log(DIRECTOR)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_health_survives_a_restart_and_devices_are_removed(lab: Lab, end: str) -> None:
    with stopped(lab, "proxy2"):
        wait_until(lab, "proxy2", healthy=False, reason="http 80: timeout, vip_http 80: timeout")
        before = health(lab, "proxy2")
        wait_for(lambda: remembered(lab, "proxy2") == before["since"], "the change is saved")
        getattr(lab, end)(DIRECTOR)
        rules_between = marked_rules(lab)
        lab.start_director(DIRECTOR)
        after = health(lab, "proxy2")
        [report] = api(lab).get("/v1/status")

    assert (after["healthy"], after["since"]) == (False, before["since"])
    assert report["tables"][0]["backends"][address("proxy2")] == "active, unhealthy"
    assert rules_between == (0 if end == "stop" else 2)
    assert marked_rules(lab) == 2


def remembered(lab: Lab, proxy: str) -> float | None:
    """Since when the file says that the backend is what it is."""
    path = lab.run_dir / "state" / f"{DIRECTOR}.health.json"
    entries = json.loads(path.read_text())["backends"]
    return next((entry["health"]["since"] for entry in entries if entry["address"] == address(proxy)), None)


def marked_rules(lab: Lab) -> int:
    """The number of routing rules with a firewall mark."""

    def count() -> int:
        with IPRoute() as ip:
            return sum(bool(rule.get("fwmark")) for family in (2, 10) for rule in ip.get_rules(family=family))

    return lab.within(DIRECTOR, count)


def test_an_override_is_saved_before_the_response(lab: Lab) -> None:
    api, place = Client(lab.run_dir / f"{DIRECTOR}.sock"), f"/v1/tables/web/backends/{address('proxy3')}/health"
    healths: list[str | None] = []
    for wanted in ("down", "up", "auto"):
        api.put(place, {"health": wanted})
        orders = load(lab.run_dir / "state" / f"{DIRECTOR}.health.json").overrides.values()
        healths.append(next(("up" if order.healthy else "down" for order in orders), None))

    assert healths == ["down", "up", None]


def test_an_override_is_set_and_removed_with_its_history(lab: Lab) -> None:
    [changed] = facts(
        lab, DIRECTOR, "backend", "set-health", "web", address("proxy3"), "down", "--reason", "disk change"
    )
    wait_until(lab, "proxy3", healthy=False, source="set", reason="disk change")
    assert "proxy3" not in served(lab)
    glbctl(lab, DIRECTOR, "backend", "set-health", "web", address("proxy3"), "auto")
    wait_until(lab, "proxy3", healthy=True, source="checks")
    [daemon] = facts(lab, DIRECTOR, "backend", "history", "web", address("proxy3"))

    assert (changed["now"]["healthy"], changed["now"]["source"]) == (False, "set")
    assert [(change["healthy"], change["source"], change["reason"]) for change in daemon["changes"][-2:]] == [
        (False, "set", "disk change"),
        (True, "checks", "all checks pass"),
    ]


def test_a_deleted_device_of_checks_is_restored(lab: Lab) -> None:
    """Also on a host whose own addresses are those for documentation."""

    def delete() -> int:
        with IPRoute() as ip:
            [index] = ip.link_lookup(ifname="glbhc0")
            ip.link("del", index=index)
            return index

    documentation = (IPv4Interface("192.0.2.1/32"), IPv6Interface("2001:db8::1/128"))
    links.add_addresses(lab.namespace(DIRECTOR), "lo", documentation)
    deleted = lab.within(DIRECTOR, delete)
    wait_for(lambda: "glbhc0 restored, after it or its route was removed" in lab.log(DIRECTOR), "it is restored")

    assert lab.within(DIRECTOR, lambda: socket.if_nametoindex("glbhc0")) != deleted
    with without_vip(lab, "proxy3"):
        wait_until(lab, "proxy3", healthy=False, reason="host up, VIP not served: timeout")
    wait_until(lab, "proxy3", healthy=True)
    assert "health: checks of VIPs cannot be made" not in lab.log(DIRECTOR)


def test_checks_that_miss_the_tunnel_are_not_counted(lab: Lab) -> None:
    def change(verb: str) -> None:
        with IPRoute() as ip:
            ip.rule(verb, family=socket.AF_INET, fwmark=MARK, table=MAIN_TABLE, priority=100)

    lab.within(DIRECTOR, lambda: change("add"))
    try:
        wait_for(lambda: "checks cannot be made, and are not counted: vip_" in lab.log(DIRECTOR), "it is reported")
        wait_until(lab, "proxy1", healthy=True, source="checks")
        wait_for(lambda: "with the mark 0x676c6200" in lab.log(DIRECTOR), "the rule is reported")
    finally:
        lab.within(DIRECTOR, lambda: change("del"))


@pytest.mark.parametrize(
    ("table", "backend", "status", "expected"),
    [
        ("wep", "10.77.0.101", 1, 'no table "wep"; there are web'),
        ("a/b", "10.77.0.101", 1, 'no table "a/b"; there are web'),
        ("web", "10.77.0.9", 1, "has no backend 10.77.0.9"),
        ("web", "10.77.0.999", 2, "error: address: value is not a valid IPv4 or IPv6 address\n"),
    ],
)
def test_unknown_tables_and_backends_are_named(lab: Lab, table: str, backend: str, status: int, expected: str) -> None:
    done = glbctl(lab, DIRECTOR, "backend", "set-health", table, backend, "down")

    assert done.returncode == status
    assert expected in done.stderr


def test_health_that_changes_no_row_writes_no_map(lab: Lab) -> None:
    state = lab.pin_dir / DIRECTOR / "state"
    source = json.loads(lab.table_path.read_text())
    draining = json.loads(lab.table_path.read_text())
    draining["tables"][0]["backends"][0]["state"] = "draining"
    reload(lab, draining)
    before = generation(state)

    with killed(lab, "proxy1"):
        wait_until(lab, "proxy1", healthy=False)
        between = generation(state)
    wait_until(lab, "proxy1", healthy=True)
    after = generation(state)
    reload(lab, source)

    assert before == between == after
    assert generation(state) != after


def test_a_dead_machine_gets_no_new_connections(lab: Lab) -> None:
    lab.remove_proxy("proxy4")
    wait_until(lab, "proxy4", healthy=False, reason="host down: timeout")

    assert served(lab) == {"proxy1", "proxy2", "proxy3"}

    source = json.loads(lab.table_path.read_text())
    source["tables"][0]["backends"].pop()
    reload(lab, source)
