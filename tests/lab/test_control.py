# SPDX-License-Identifier: MIT
"""One daemon on several interfaces, and the socket by which it is steered."""

import grp
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from glb.control.client import Client
from glb.errors import ControlError
from glb.lab import Lab, hosts, links, routes
from glb.lab.process import LabDaemon, argv_in, end
from tests.conftest import unique_name
from tests.lab.helpers.commands import facts, glbctl, growth
from tests.lab.helpers.kernel import xdp_program

HOST = "director1"
SECOND = "uplink2"
SECOND_ADDRESS = IPv4Interface("10.77.0.200/24")
GROUP = "daemon"  # one that every Debian has
NOBODY = 65534


@pytest.fixture(scope="module")
def network() -> Iterator[Lab]:
    """A lab whose only director, which does not run yet, has a second interface in the datacenter."""
    with Lab.up(unique_name(), owned=True, daemons=False, directors=1, proxies=2) as lab:
        lab.start_proxy("proxy1")
        lab.start_proxy("proxy2")
        director, switch = lab.namespace(HOST), lab.namespace("dc")
        links.add_veth(director, SECOND, "02:00:0a:4d:00:c8", hosts.DC_MTU, peer_namespace=switch, peer=SECOND)
        links.join_bridge(switch, "dc", SECOND)
        links.attach_pass_program(switch, SECOND)
        for interface in (HOST, SECOND):  # in one network, each answers for its own address only
            lab.set_sysctl(HOST, f"net.ipv4.conf.{interface}.arp_ignore", 1)
        links.add_addresses(director, SECOND, [SECOND_ADDRESS])
        config = lab.run_dir / f"{HOST}.conf"
        gateway = {"outbound_gateway_mac": hosts.mac(hosts.ROUTER)}
        config.write_text(json.dumps(json.loads(config.read_text()) | gateway))
        yield lab


def command(lab: Lab, *interfaces: str) -> list[str]:
    files = ["--config", str(lab.run_dir / f"{HOST}.conf"), "--table", str(lab.table_path)]
    names = [word for interface in interfaces for word in ("--iface", interface)]
    return ["director", "run", *names, *files]


@pytest.fixture(scope="module")
def daemon(network: Lab) -> Iterator[Client]:
    """A daemon on both interfaces; the client of its control socket."""
    argv = ["glbctl", *command(network, HOST, SECOND), "--group", GROUP]
    started = LabDaemon(network.namespace(HOST), argv, network.run_dir / "both.log", network.env)
    started.wait_until_ready()
    yield Client(control_socket(network))
    end(started.id, signal.SIGTERM)
    assert xdp_program(network, HOST) is None
    assert not control_socket(network).exists()


def control_socket(lab: Lab) -> Path:
    return lab.run_dir / f"{HOST}.sock"


def test_if_one_interface_cannot_be_served_none_is(network: Lab) -> None:
    done = glbctl(network, HOST, *command(network, HOST, "eth7"))

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no interface eth7 here" in done.stderr
    assert xdp_program(network, HOST) is None
    assert not (network.pin_dir / HOST).exists()


def test_an_unknown_group_is_refused_and_nothing_is_left(network: Lab) -> None:
    done = glbctl(network, HOST, *command(network, HOST), "--group", "no-such-group")

    assert done.returncode == 1
    assert "there is no group no-such-group" in done.stderr
    assert xdp_program(network, HOST) is None
    assert not control_socket(network).exists()


def test_each_interface_serves_what_comes_in_by_it(network: Lab, daemon: Client) -> None:
    before = packets(network)

    for via in (network.host(HOST).ipv4, SECOND_ADDRESS):
        assert via is not None
        routes.set_multipath(network.namespace("router"), hosts.VIP_NET4, [via.ip])
        answer = network.run("client", ["curl", "-sf", "--max-time", "5", f"http://{hosts.VIP4}/"])
        assert answer.stdout.strip() in ("proxy1", "proxy2")

    grown = growth(before, packets(network))
    assert grown[HOST]["encapsulated"] > 0
    assert grown[SECOND]["encapsulated"] > 0


def packets(lab: Lab) -> dict[str, dict[str, int]]:
    return {fact["interface"]: fact["packets"] for fact in facts(lab, HOST, "director", "status")}


def test_a_change_of_the_table_reaches_every_interface(network: Lab, daemon: Client) -> None:
    done = facts(network, HOST, "backend", "drain", str(network.table_path), "10.77.0.101")

    assert done["directors"] == [
        {"interface": HOST, "reloaded": True, "error": None},
        {"interface": SECOND, "reloaded": True, "error": None},
    ]
    for report in daemon.get("/v1/status"):
        assert report["tables"][0]["backends"]["10.77.0.101"] == "draining"


def test_a_reload_of_a_bad_file_gives_a_reason_by_interface(network: Lab, daemon: Client) -> None:
    good = network.table_path.read_text()
    network.table_path.write_text(good.replace('"web"', "17"))
    try:
        outcomes = daemon.post("/v1/reload")
    finally:
        network.table_path.write_text(good)

    assert [outcome["reloaded"] for outcome in outcomes] == [False, False]
    assert "tables[0].name: 17 is not a name" in outcomes[0]["error"]
    assert all(outcome["reloaded"] for outcome in daemon.post("/v1/reload"))


def test_the_socket_is_for_root_and_the_group_only(network: Lab, daemon: Client) -> None:
    def status_as(group: int) -> int:
        command = ["curl", "-sf", "--unix-socket", str(control_socket(network)), "http://glb/v1/status"]
        return subprocess.run(command, user=NOBODY, group=group, extra_groups=[], capture_output=True).returncode

    assert status_as(grp.getgrnam(GROUP).gr_gid) == 0
    assert status_as(NOBODY) != 0


def test_a_daemon_that_does_not_answer_is_named(network: Lab, daemon: Client, tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=r"gone\.sock: no daemon is listening"):
        Client(tmp_path / "gone.sock").get("/v1/status")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf.sock"))
        deaf.listen()
        with pytest.raises(ControlError, match=r"deaf\.sock: the daemon did not answer within"):
            Client(tmp_path / "deaf.sock", timeout=0.2).get("/v1/status")
    with pytest.raises(ControlError, match="Not Found"):
        daemon.get("/v1/nothing")


def test_a_member_of_a_bridge_finds_its_next_hops_by_the_bridge(network: Lab, daemon: Client) -> None:
    """As a bond's member does by the bond: addresses and routes are the bond's."""
    proxy = "proxy1"
    name = network.namespace(proxy)
    home = network.host(proxy).ipv4
    assert home is not None
    commands = (
        f"link add agg address {hosts.mac(network.host(proxy))} type bridge",
        f"addr flush dev {proxy}",
        f"link set {proxy} master agg",
        "link set agg up",
        f"addr add {home} dev agg",
    )
    for words in commands:
        subprocess.run(argv_in(name, ["ip", *words.split()]), check=True)
    script = (
        "from ipaddress import IPv4Address; from glb.network.interface import find_interface; "
        "from glb.network.next_hops import resolve; "
        f"print(resolve(find_interface('{proxy}'), [IPv4Address('{hosts.ROUTER.ipv4.ip}')], 10))"
    )
    found = subprocess.run(argv_in(name, ["python", "-c", script]), env=network.env, capture_output=True, text=True)

    mac = bytes.fromhex(hosts.mac(hosts.ROUTER).replace(":", ""))
    assert str(mac) in found.stdout, found.stderr
