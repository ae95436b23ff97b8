# SPDX-License-Identifier: MIT
"""`glbctl doctor` and `glbctl probe` on hosts of the lab that are well, and on hosts with a fault that was made."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from pyroute2 import IPRoute

from glb.doctor.examine import examine
from glb.doctor.finding import Level
from glb.lab import Lab, hosts
from tests.lab.helpers.commands import facts, faults, glbctl, lookups
from tests.lab.helpers.packets import wait_for

CLIENT = ("198.18.0.77", 47110)
GONE = "10.77.0.103"  # proxy3


@contextmanager
def changed(
    lab: Lab, host: str, change: Callable[[IPRoute], object], back: Callable[[IPRoute], object]
) -> Iterator[None]:
    def act(action: Callable[[IPRoute], object]) -> None:
        with IPRoute() as ip:
            action(ip)

    lab.within(host, lambda: act(change))
    try:
        yield
    finally:
        lab.within(host, lambda: act(back))


def index(ip: IPRoute, name: str) -> int:
    return int(ip.link_lookup(ifname=name)[0])


class Examined(Protocol):
    """What doctor finds wrong on a host; examined in this process, which takes less time than a command."""

    def __call__(self, host: str, table: Path | None = None, interface: str | None = "") -> set[tuple[str, str]]: ...


@pytest.fixture
def examined(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Examined:
    for name, value in lab.env.items():
        monkeypatch.setenv(name, value)

    def examined(host: str, table: Path | None = None, interface: str | None = "") -> set[tuple[str, str]]:
        findings = lab.within(host, lambda: examine(host if interface == "" else interface, table))
        return {(finding.check, str(finding.level)) for finding in findings if finding.level is not Level.OK}

    return examined


@contextmanager
def mended_after(lab: Lab, host: str, commands: Sequence[str]) -> Iterator[None]:
    try:
        yield
    finally:
        run_all(lab, host, commands)


def run_all(lab: Lab, host: str, commands: Sequence[str]) -> None:
    for command in commands:
        done = lab.run(host, command.split())
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_a_lab_is_well(lab: Lab) -> None:
    assert faults(lab, "director1") == set()
    assert faults(lab, "proxy1") == set()


def test_unloaded_proxy_file_is_a_finding(lab: Lab) -> None:
    config = lab.run_dir / "proxy2.conf"

    config.write_text(config.read_text() + "\n")
    assert faults(lab, "proxy2") == {("files", "warning")}

    os.kill(lab.process_id("proxy2").pid, signal.SIGHUP)
    wait_for(lambda: not faults(lab, "proxy2"), "the file is loaded")


def test_probe_shows_hops_without_sending_a_packet(lab: Lab) -> None:
    with lab.open_socket("client", socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.bind(CLIENT)
        connection.connect((str(hosts.VIP4), hosts.HTTP_PORT))
        client, vip = f"{CLIENT[0]}:{CLIENT[1]}", f"{hosts.VIP4}:{hosts.HTTP_PORT}"
        [told] = facts(lab, "director1", "probe", client, vip)
        [choice] = lookups(lab, [(client, vip)], "tcp")
        assert choice is not None
        [first], [second] = (facts(lab, proxy, "probe", client, vip) for proxy in choice.proxies[:2])

    assert (told["bind"], told["action"], told["agrees"]) == (f"{vip}/tcp", "tx", True)
    assert tuple(told["sent"]) == tuple(told["hops"]) == choice.hops
    assert told["tunnel_source_port"] == choice.tunnel_source_port
    assert (first["first"], first["later"]) == ("taken", "taken")
    assert (second["first"], second["later"]) == ("taken", "sent on")


def test_probe_of_unbound_packet_passes_to_the_stack(lab: Lab) -> None:
    [told] = facts(lab, "director1", "probe", "198.18.0.7:4711", f"{hosts.VIP4}:81")

    assert (told["bind"], told["action"], told["sent"], told["agrees"]) == (None, "pass", [], True)


@dataclass(frozen=True, slots=True)
class Fault:
    """made and mended: commands; the host's name is its interface's. found: what doctor then says of the host."""

    host: str
    made: Sequence[str]
    mended: Sequence[str]
    found: set[tuple[str, str]]

    @property
    def name(self) -> str:
        return f"{self.host}: {'; '.join(self.made) or 'as it is'}"


RP_FILTER, ARP_IGNORE = "sysctl -qw net.ipv4.conf.all.rp_filter={}", "sysctl -qw net.ipv4.conf.all.arp_ignore={}"
ROUTER4, ROUTER6 = (address.ip for address in hosts.ROUTER.addresses)
DEFAULT4, DEFAULT6 = f"ip route add default via {ROUTER4}", f"ip -6 route add default via {ROUTER6}"
NO_DEFAULT4, NO_DEFAULT6 = "ip route del default", "ip -6 route del default"
VIP4, VIP6 = f"ip addr add {hosts.VIP4}/32 dev lo", f"ip addr add {hosts.VIP6}/128 dev lo"
NO_VIP4, NO_VIP6 = VIP4.replace(" add ", " del "), VIP6.replace(" add ", " del ")
ANY_IP = f"ip route add local {hosts.VIP_NET4} dev lo"
OTHER = "ip addr add 192.0.2.77/32 dev lo"
PROXY1 = str(hosts.proxy(1).addresses[0].ip)
CLOSED = ["ip rule add ipproto tcp dport 80 unreachable"]  # the port of the health checks

FAULTS = [
    # The VIPs
    Fault("proxy1", [NO_VIP4], [VIP4], {("vip", "error")}),
    Fault("proxy1", [NO_VIP4, NO_VIP6, OTHER], [VIP4, VIP6, OTHER.replace(" add ", " del ")], {("vip", "error")}),
    Fault("proxy1", [NO_VIP4, ANY_IP], [ANY_IP.replace(" add ", " del "), VIP4], set()),
    Fault("proxy1", [ARP_IGNORE.format(0)], [ARP_IGNORE.format(1)], {("arp_ignore", "warning")}),
    Fault(
        "proxy1",
        [NO_VIP4, f"ip addr add {hosts.VIP4}/32 dev proxy1"],
        [f"ip addr del {hosts.VIP4}/32 dev proxy1", VIP4],
        {("arp", "warning")},
    ),
    Fault(
        "proxy1",
        ["sysctl -qw net.ipv6.conf.proxy1.disable_ipv6=1"],
        [
            "sysctl -qw net.ipv6.conf.proxy1.disable_ipv6=0",
            f"ip -6 addr add {hosts.proxy(1).ipv6} dev proxy1 nodad",
            DEFAULT6,
        ],
        {("vip", "error"), ("return", "error")},
    ),
    # The routes back to clients
    Fault("proxy1", [NO_DEFAULT4], [DEFAULT4], {("return", "error")}),
    Fault("proxy1", [NO_DEFAULT6], [DEFAULT6], {("return", "error")}),
    Fault(
        "proxy1",
        [NO_DEFAULT4, "ip route add default via 10.77.0.250"],
        [NO_DEFAULT4, DEFAULT4],
        {("return", "error")},
    ),
    Fault("proxy1", [NO_DEFAULT4, "ip route add blackhole default"], [NO_DEFAULT4, DEFAULT4], {("return", "error")}),
    Fault("proxy1", [RP_FILTER.format(1)], [RP_FILTER.format(0)], set()),
    Fault(
        "proxy1",
        [NO_DEFAULT4, RP_FILTER.format(2)],
        [RP_FILTER.format(0), DEFAULT4],
        {("rp_filter", "error"), ("return", "error")},
    ),
    Fault(
        "proxy1",
        ["ip link add name other type veth peer name far", "ip addr add 192.0.2.1/24 dev other", "ip link set other up",
         "ip link set far up", NO_DEFAULT4, "ip route add default via 192.0.2.2", RP_FILTER.format(1),
         "ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev other"],
        [RP_FILTER.format(0), "ip link del other", DEFAULT4],
        {("rp_filter", "error")},
    ),
    # A director
    Fault("director1", [ANY_IP], [ANY_IP.replace(" add ", " del ")], {("vip", "warning")}),
    Fault("director1", CLOSED, [rule.replace(" add ", " del ") for rule in CLOSED], {("health", "error")}),
    Fault(
        "director1",
        [f"ip neigh replace {PROXY1} lladdr 02:00:00:00:00:99 nud permanent dev director1"],
        [f"ip neigh del {PROXY1} dev director1"],
        {("health", "warning")},
    ),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_and_nothing_else(lab: Lab, fault: Fault, examined: Examined, tmp_path: Path) -> None:
    served = write_table(tmp_path, lab, tcp_binds(lab))
    with mended_after(lab, fault.host, fault.mended):
        run_all(lab, fault.host, fault.made)
        wait_for(lambda: examined(fault.host, served) == fault.found, f"{fault.found} and no more", 15)
    wait_for(lambda: not examined(fault.host, served), "all is well again", 15)


def test_bind_without_listener_is_an_error(lab: Lab, examined: Examined, tmp_path: Path) -> None:
    binds = tcp_binds(lab)
    assert examined("proxy1", write_table(tmp_path, lab, binds)) == set()

    missing = {"ip": str(hosts.VIP4), "proto": "tcp", "port": 444}
    assert examined("proxy1", write_table(tmp_path, lab, [*binds, missing])) == {("listener", "error")}


def tcp_binds(lab: Lab) -> list[Any]:
    """Those that the proxies' web servers serve; nobody serves the others."""
    binds = json.loads(lab.table_path.read_text())["tables"][0]["binds"]
    return [bind for bind in binds if bind["proto"] == "tcp"]


def write_table(folder: Path, lab: Lab, binds: Sequence[Any]) -> Path:
    document = json.loads(lab.table_path.read_text())
    document["tables"][0]["binds"] = binds
    path = folder / "table.json"
    path.write_text(json.dumps(document))
    return path


def test_a_proxy_reports_that_its_route_back_to_clients_is_lost(lab: Lab) -> None:
    def reported() -> dict[str, str]:
        [status] = facts(lab, "proxy1", "proxy", "status", "--iface", "proxy1")
        return dict(status["return_paths"])

    assert reported() == {"ipv4": "", "ipv6": ""}
    with mended_after(lab, "proxy1", [DEFAULT4]):
        run_all(lab, "proxy1", [NO_DEFAULT4])
        wait_for(lambda: reported()["ipv4"], "the proxy notices it", 30)
        assert reported() == {"ipv4": f"from {hosts.VIP4}: no route to clients such as 4.0.0.1", "ipv6": ""}
    assert "replies to ipv4 clients are lost" in lab.log("proxy1")


def test_a_suspended_daemon_is_found(lab: Lab, examined: Examined) -> None:
    for host, found in (("proxy2", {("daemon", "error")}), ("director2", {("daemon", "error"), ("control", "error")})):
        daemon = lab.process_id(host)
        daemon.send(signal.SIGSTOP)
        try:
            assert examined(host) == found
        finally:
            daemon.send(signal.SIGCONT)


def test_a_switch_port_that_loses_large_packets_is_found(lab: Lab) -> None:
    """The bridge drops what the port does not take, and sends no ICMP error, as a switch does."""

    def errors() -> list[str]:
        found = json.loads(glbctl(lab, "director1", "doctor", "-o", "json").stdout)
        return [finding["what"] for finding in found if finding["level"] == "error"]

    with changed(
        lab,
        "dc",
        lambda ip: ip.link("set", index=index(ip, "proxy1"), mtu=1500),
        lambda ip: ip.link("set", index=index(ip, "proxy1"), mtu=hosts.DC_MTU),
    ):
        assert errors() == [f"packets of {hosts.DC_MTU} bytes to {PROXY1} are lost; small ones arrive"]
    assert errors() == []


def test_a_datapath_without_its_daemons_status_is_found(lab: Lab, examined: Examined) -> None:
    lab.kill("proxy2")
    (lab.run_dir / "proxy2.status.json").unlink()

    assert examined("proxy2", interface=None) == {("daemon", "error")}

    lab.start_proxy("proxy2")
    assert examined("proxy2") == set()


def test_a_directors_surroundings_are_examined(lab: Lab) -> None:
    """A proxy that is gone, an MTU as the clients', a VIP that is the director's own, a peer without a program."""
    vip = str(hosts.VIP4)
    lab.remove_proxy("proxy3")
    with (
        changed(
            lab,
            "director1",
            lambda ip: (
                ip.link("set", index=index(ip, "director1"), mtu=1500),
                ip.addr("add", index=index(ip, "lo"), address=vip, prefixlen=32),
                ip.neigh("del", dst=GONE, ifindex=index(ip, "director1")),
            ),
            lambda ip: (
                ip.link("set", index=index(ip, "director1"), mtu=hosts.DC_MTU),
                ip.addr("del", index=index(ip, "lo"), address=vip, prefixlen=32),
            ),
        ),
        changed(
            lab,
            "dc",
            lambda ip: ip.link("set", index=index(ip, "director1"), xdp_fd=-1),
            lambda ip: None,
        ),
    ):
        found = faults(lab, "director1")

    assert found - {("health", "warning")} == {
        ("mtu", "warning"),
        ("vip", "warning"),
        ("backend", "error"),
        ("veth", "error"),
    }
