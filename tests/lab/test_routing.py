# SPDX-License-Identifier: MIT
"""Directors that announce the VIPs themselves come and go, and no live connection is cut.

The router runs BIRD with multipath and BFD. The same connections live through what happens in one test after another.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_network
from socket import IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP
from typing import Any

import pytest
from pyroute2 import IPRoute

from glb.config.edit import Action
from glb.config.json_files import edit_file
from glb.datapath import libbpf
from glb.lab import Lab, config_files, hosts, links, routes
from glb.lab.live_connections import LiveConnections
from glb.lab.routing import LabRouting
from tests.conftest import unique_name
from tests.lab.helpers.commands import backend, counts, facts, glbctl
from tests.lab.helpers.director import replace_text, table
from tests.lab.helpers.packets import Inner, inner_of, tunnels, wait_for
from tests.lab.helpers.routing import BOTH, nothing_cut, routing_of, wait_for_sessions

pytestmark = pytest.mark.alone

TOO_BIG = {IPPROTO_ICMP: 3, IPPROTO_ICMPV6: 2}
"""The types of the errors, by protocol; the directors' own health checks are echoes."""
CONNECTIONS = 100


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(
        unique_name(), owned=True, routing=LabRouting(), health_checks=False
    ) as lab:  # the tunnel is the clients'
        yield lab


@pytest.fixture(scope="module")
def live(lab: Lab) -> Iterator[LiveConnections]:
    with lab.live_connections(CONNECTIONS) as live:
        yield live


def test_directors_announce_each_vip_in_both_families(lab: Lab) -> None:
    assert lab.announced() == BOTH
    routing = routing_of(lab, "director1")
    assert routing["announced"] == [f"{hosts.VIP4}/32", f"{hosts.VIP6}/128"]
    assert {session["peer"] for session in routing["sessions"]} == {str(a.ip) for a in hosts.ROUTER.addresses}
    learned = lab.run("router", ["birdc", "-s", str(lab.run_dir / "router.ctl"), "show route all"]).stdout
    assert learned.count("BGP.community: (65001,100)") == 4


def test_bfd_detects_the_death_of_a_directors_machine(lab: Lab, live: LiveConnections) -> None:
    with nothing_cut(live):
        lab.add_director()
        lab.wait_until_announced({*BOTH, "director3"})
        wait_for(lambda: counts(lab)["director3"]["encapsulated"] > 50, "director3 has its share", 30)
    with nothing_cut(live):
        lab.remove_director("director3")
        lab.wait_until_announced(BOTH)


def test_a_daemon_is_killed_and_nothing_happens(lab: Lab, live: LiveConnections) -> None:
    log = lab.run_dir / "director1.bird.log"
    bird_said = log.read_text()
    with nothing_cut(live):
        lab.kill("director1")
        before = counts(lab)["director1"]["encapsulated"]
        wait_for(lambda: counts(lab)["director1"]["encapsulated"] > before + 50, "its datapath forwards")
        assert lab.announced() == BOTH
        lab.start_director("director1")
        wait_for_sessions(lab, "director1")
        assert lab.announced() == BOTH

    assert "routing: bird adopted" in lab.log("director1")
    assert "Started" not in log.read_text().removeprefix(bird_said)


def test_all_directors_are_upgraded_one_after_the_other(lab: Lab, live: LiveConnections) -> None:
    with nothing_cut(live):
        for director in sorted(BOTH):
            lab.stop(director)
            assert lab.announced() == BOTH - {director}
            assert "packets still arrive" not in lab.log(director)
            lab.start_director(director)
            lab.wait_until_announced(BOTH)


def test_a_director_is_drained_and_comes_back(lab: Lab, live: LiveConnections) -> None:
    with nothing_cut(live):
        drained = facts(lab, "director2", "director", "drain")
        assert drained["quiet"]
        assert lab.announced() == {"director1"}
        assert routing_of(lab, "director2")["draining"]

        assert glbctl(lab, "director2", "director", "announce", "--iface", "director2").returncode == 0
        lab.wait_until_announced(BOTH)


def test_an_announcement_calls_off_an_endless_drain(lab: Lab, live: LiveConnections) -> None:
    """The router has a route of its own to the director, so that packets come whatever it announces."""
    route = [f"{hosts.VIP4}/32", "via", str(lab.host("director2").addresses[0].ip), "metric", "1"]
    with nothing_cut(live), ThreadPoolExecutor() as beside:
        assert lab.run("router", ["ip", "route", "add", *route]).returncode == 0
        try:
            drain = ["glbctl", "director", "drain", "--iface", "director2", "--timeout", "600", "-o", "json"]
            drained = beside.submit(lab.run, "director2", drain)
            wait_for(lambda: lab.announced() == {"director1"}, "director2 has withdrawn")
            assert glbctl(lab, "director2", "director", "announce", "--iface", "director2").returncode == 0
            assert json.loads(drained.result().stdout)["called_off"]
        finally:
            lab.run("router", ["ip", "route", "del", *route])
        lab.wait_until_announced(BOTH)


def test_the_router_restarts_gracefully(lab: Lab, live: LiveConnections) -> None:
    with nothing_cut(live):
        lab.restart_router()
        wait_for_sessions(lab, *BOTH)
        assert lab.announced() == BOTH


def test_a_drain_cuts_nothing_while_directors_are_late(lab: Lab, live: LiveConnections) -> None:
    late = lab.process_id("director2")
    proxy1 = str(lab.host("proxy1").addresses[0].ip)
    with nothing_cut(live):
        late.send(signal.SIGSTOP)
        edit_file(lab.table_path, Action.DRAIN, proxy1)
        lab.stop("director1")
        lab.start_director("director1")
        time.sleep(5)  # the delay itself
        late.send(signal.SIGCONT)
        wait_for(lambda: state_in(lab, "director2", proxy1) == "draining", "director2 has the table too", 30)
        lab.wait_until_announced(BOTH)
        backend(lab, "activate", "proxy1")


def state_in(lab: Lab, director: str, proxy: str) -> str:
    return str(facts(lab, director, "director", "status", "--iface", director)[0]["tables"][0]["backends"][proxy])


def test_a_table_is_announced_only_while_it_can_serve(lab: Lab) -> None:
    other = ip_network("203.0.113.77/32")
    tables = lab.table_path.read_text()
    served = [str(proxy.addresses[0].ip) for proxy in lab.proxies]
    binds = [{"ip": str(other.network_address), "proto": "udp", "port": 53}]
    in_table = table("other", (53,), served, binds=binds)
    ill = {**in_table, "backends": [{**member, "healthy": False} for member in in_table["backends"]]}

    def gateways() -> set[Any]:
        return routes.gateways(lab.namespace("router"), other)

    try:
        add_table(lab, tables, in_table)
        wait_for(lambda: len(gateways()) == 2, "both directors announce the table", 90)
        add_table(lab, tables, ill)
        wait_for(lambda: not gateways(), "they withdraw it", 90)
        assert lab.announced() == BOTH
    finally:
        replace_text(lab.table_path, tables)


def add_table(lab: Lab, tables: str, added: dict[str, Any]) -> None:
    document = json.loads(tables)
    document["tables"].append(added)
    replace_text(lab.table_path, json.dumps(document))


def test_icmp_errors_by_another_director_arrive(lab: Lab) -> None:
    """The MTU to the clients is 1300 bytes: the router reports it to the proxies, through any director."""
    captures = {name: lab.capture("dc", name) for name in sorted(BOTH)}
    arguments = ("--count", "40", "--file", "64k", "--rate", "0", "--in-flight", "8", "--first", "5000")
    set_mtu(lab, hosts.ROUTER_CLIENT_SIDE.name, 1300)
    try:
        with captures["director1"], captures["director2"], lab.traffic("download", *arguments) as traffic:
            summary = traffic.wait()
    finally:
        set_mtu(lab, hosts.ROUTER_CLIENT_SIDE.name, hosts.CLIENT_MTU)

    assert (summary.failed, summary.cut) == (0, 0)
    sent = [(name, tunnel.inner) for name, capture in captures.items() for tunnel in tunnels(capture.frames())]
    flows = {(name, inner.source) for name, inner in sent if inner.protocol == IPPROTO_TCP}
    errors = {(name, inner_of(inner.payload[8:]).destination) for name, inner in sent if is_error(inner)}
    assert errors - flows, "no error arrived at another director than its flow"


def is_error(inner: Inner) -> bool:
    return inner.protocol in TOO_BIG and inner.payload[0] == TOO_BIG[inner.protocol]


def set_mtu(lab: Lab, interface: str, mtu: int) -> None:
    """Of an interface of the router."""

    def change() -> None:
        with IPRoute() as ip:
            ip.link("set", index=ip.link_lookup(ifname=interface)[0], mtu=mtu)

    lab.within("router", change)


def test_a_detached_director_withdraws_until_attached_again(lab: Lab, live: LiveConnections) -> None:
    with nothing_cut(live):
        swap_program(lab, "director1")
        lab.wait_until_announced({"director2"})
        assert "no longer attached" in routing_of(lab, "director1")["fault"]

        lab.run("director1", ["ip", "link", "set", "director1", "xdp", "off"])
        lab.wait_until_announced(BOTH)
    fault = "director1: the program is no longer attached"
    assert f"the self-test fails, nothing is announced: {fault}" in lab.log("director1")
    assert "the self-test passes again" in lab.log("director1")


def swap_program(lab: Lab, director: str) -> None:
    """Replace the director's program by that of another tool, while the daemon, which would attach it again, is
    stopped."""
    daemon = lab.process_id(director)
    daemon.send(signal.SIGSTOP)
    link = libbpf.open_pin(lab.pin_dir / director / "link")
    libbpf.detach_link(link)
    os.close(link)
    links.attach_pass_program(lab.namespace(director), director)
    daemon.send(signal.SIGCONT)


def test_a_director_without_backends_is_the_last_resort(lab: Lab, live: LiveConnections) -> None:
    """Last but one, since the directors stay a last resort for a while."""
    vips = [f"{hosts.VIP4}/32", f"{hosts.VIP6}/128"]
    replace_text(lab.table_path, config_files.forwarding_table(lab.proxies))
    wait_for(lambda: sources_of_health(lab) == {"checks"}, "both directors check their backends", 30)

    with nothing_cut(live):
        with added_everywhere(lab, "director1", CLOSED_PORT):
            lab.wait_until_announced({"director2"})
            assert routing_of(lab, "director1")["last_resort"] == vips
            [status] = facts(lab, "director1", "director", "status", "--iface", "director1")
            assert status["unreached"] == [config_files.TABLE_NAME]
            assert [held["backend"] for held in status["held"]] == [str(proxy.ipv4.ip) for proxy in lab.proxies]
            with added_everywhere(lab, "director2", NO_ROUTES):
                lab.wait_until_announced(BOTH)
                assert routing_of(lab, "director2")["last_resort"] == vips
        wait_for(lambda: sources_of_health(lab) == {"checks"}, "both directors reach their backends again", 30)
    assert f"routing: announced: {vips[0]} (last resort), {vips[1]} (last resort)" in lab.log("director1")


def sources_of_health(lab: Lab) -> set[str]:
    """Who decides on the backends' health, at both directors."""
    healths = [facts(lab, director, "backend", "list", "--iface", director) for director in sorted(BOTH)]
    return {backend["source"] for [health] in healths for backend in health["backends"]}


CLOSED_PORT = ("rule {} to {} ipproto tcp dport 80 unreachable",)
"""Health checks fail, while next hops are known and the datapath sends as before."""
NO_ROUTES = ("route {} blackhole {}",)


@contextmanager
def added_everywhere(lab: Lab, director: str, commands: Sequence[str]) -> Iterator[None]:
    """What cuts a director off from each proxy, but not from the router. commands: of ip, with verb and address."""

    def change(verb: str) -> None:
        for proxy in lab.proxies:
            for command in commands:
                done = lab.run(director, ["ip", *command.format(verb, proxy.addresses[0].ip).split()])
                assert done.returncode == 0, done.stderr

    change("add")
    try:
        yield
    finally:
        change("del")


def test_a_director_without_its_pins_withdraws_when_it_stops(lab: Lab) -> None:
    shutil.rmtree(lab.pin_dir / "director2")
    lab.stop("director2")

    assert lab.announced() == {"director1"}
    assert "Traceback" not in lab.log("director2")
