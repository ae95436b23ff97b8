"""What the doctor makes of facts: every fault is found, with a remedy, and nothing else."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from glb.config.model import DirectorConfig, Egress, HashFields
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, TableSummary
from glb.doctor.examine import judge_daemon, judge_daemons
from glb.doctor.facts import DaemonFacts, HostFacts, LinkFacts, Peer
from glb.doctor.finding import Finding, Level
from glb.doctor.host import judge_host
from glb.network.refusal import Cause, Refusal

HOST = HostFacts(release=(6, 1), jit=True, btf=True, bpffs=True)
LINK = LinkFacts(
    up=True, mtu=9000, kind="veth", program=7, mode="xdp", features=frozenset({"rx-gro"}), peer=Peer("port1", True)
)
REPORT = Report(
    role="director",
    interface="eth0",
    process=ProcessId.own(),
    started="",
    tables=(TableSummary("web", ("203.0.113.0/24:80/tcp",), {"10.0.0.1": "active"}, 3),),
)
DIRECTOR = DaemonFacts(
    report=REPORT,
    alive=True,
    link=LINK,
    pinned=7,
    current=True,
    sysctls={"rp_filter": 0, "arp_ignore": 1, "arp_announce": 2, "forwarding": 0},
    addresses=frozenset({IPv4Address("10.0.0.100")}),
    loopback=frozenset({IPv4Address("127.0.0.1"), IPv4Address("203.0.113.10")}),
    config=DirectorConfig(IPv4Address("10.0.0.100")),
    next_hops={"10.0.0.1": None},
    probed=1,
)
PROXY = replace(DIRECTOR, report=replace(REPORT, role="proxy", tables=()), config=None)


def faults(findings: list[Finding]) -> list[tuple[str, Level]]:
    """What is not as it should be; each must say what to do."""
    found = [finding for finding in findings if finding.level is not Level.OK]
    assert all(finding.remedy for finding in found)
    return [(finding.check, finding.level) for finding in found]


@pytest.mark.parametrize("facts", [DIRECTOR, PROXY], ids=["director", "proxy"])
def test_a_healthy_daemon_has_no_fault(facts: DaemonFacts) -> None:
    assert faults(judge_daemon(facts)) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"release": (5, 15)}, ("kernel", Level.ERROR)),
        ({"jit": False}, ("jit", Level.WARNING)),
        ({"btf": False}, ("btf", Level.WARNING)),
        ({"bpffs": False}, ("bpffs", Level.WARNING)),
    ],
)
def test_faults_of_the_host(changes: dict[str, Any], fault: tuple[str, Level]) -> None:
    assert faults(list(judge_host(HOST))) == []
    assert faults(list(judge_host(replace(HOST, **changes)))) == [fault]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"up": False}, ("link", Level.ERROR)),
        ({"program": None, "mode": None}, ("program", Level.ERROR)),
        ({"program": 8}, ("program", Level.ERROR)),
        ({"mode": "xdpgeneric"}, ("mode", Level.WARNING)),
        ({"peer": Peer("port1", False)}, ("veth", Level.ERROR)),
        ({"features": frozenset({"rx-lro"})}, ("offloads", Level.WARNING)),
        ({"kind": "ixgbe", "peer": None, "features": frozenset({"rx-vlan-hw-parse"})}, ("offloads", Level.WARNING)),
        ({"mtu": 1543}, ("mtu", Level.WARNING)),
    ],
)
def test_faults_of_a_directors_interface(changes: dict[str, Any], fault: tuple[str, Level]) -> None:
    assert faults(judge_daemon(replace(DIRECTOR, link=replace(LINK, **changes)))) == [fault]


def test_a_host_without_a_daemon_is_told() -> None:
    assert faults(list(judge_daemons([]))) == [("daemons", Level.WARNING)]
    assert faults(list(judge_daemons([REPORT]))) == []


def test_a_captures_twin_in_the_programs_place_is_no_fault() -> None:
    capturing = replace(DIRECTOR, link=replace(LINK, program=8), twin=True)

    assert faults(judge_daemon(capturing)) == []


def test_an_mtu_that_holds_the_tunnel_and_the_clients_packets_is_enough() -> None:
    assert faults(judge_daemon(replace(DIRECTOR, link=replace(LINK, mtu=1544)))) == []


def test_two_rows_need_more_room() -> None:
    config = replace(DIRECTOR.config, alt_hash_fields=HashFields()) if DIRECTOR.config else None
    facts = replace(DIRECTOR, config=config, link=replace(LINK, mtu=1544))

    assert faults(judge_daemon(facts)) == [("mtu", Level.WARNING)]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"alive": False}, ("daemon", Level.ERROR)),
        ({"report": replace(REPORT, error="tables[0]: bad")}, ("files", Level.ERROR)),
        ({"current": None}, ("files", Level.ERROR)),
        ({"current": False}, ("files", Level.WARNING)),
        ({"addresses": frozenset({IPv4Address("203.0.113.10")})}, ("vip", Level.WARNING)),
        *(({"next_hops": {"10.0.0.1": Refusal(cause)}}, ("backend", Level.ERROR)) for cause in Cause),
        ({"report": replace(REPORT, metrics_trouble="127.0.0.1:9480: in use")}, ("metrics", Level.WARNING)),
        ({"deviations": ("a to b is not tunnelled",)}, ("tables", Level.ERROR)),
        ({"link": None}, ("interface", Level.ERROR)),
        (
            {"config": DirectorConfig(IPv4Address("10.0.0.100"), egress=Egress.FIB), "next_hops": {}},
            ("forwarding", Level.ERROR),
        ),
    ],
)
def test_faults_of_a_director(changes: dict[str, Any], fault: tuple[str, Level]) -> None:
    assert faults(judge_daemon(replace(DIRECTOR, **changes))) == [fault]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"loopback": frozenset({IPv4Address("127.0.0.1")})}, ("vip", Level.ERROR)),
        ({"report": replace(PROXY.report, agent_trouble="10.0.0.1:19523: in use")}, ("agent", Level.WARNING)),
        ({"report": replace(PROXY.report, metrics_trouble="127.0.0.1:9480: in use")}, ("metrics", Level.WARNING)),
        ({"sysctls": {"arp_ignore": 0, "arp_announce": 2}}, ("arp_ignore", Level.WARNING)),
        ({"sysctls": {"arp_ignore": 1, "arp_announce": 1}}, ("arp_announce", Level.WARNING)),
        ({"sysctls": {"arp_ignore": 1, "arp_announce": 2, "rp_filter": 1}}, ("rp_filter", Level.WARNING)),
    ],
)
def test_faults_of_a_proxy(changes: dict[str, Any], fault: tuple[str, Level]) -> None:
    assert faults(judge_daemon(replace(PROXY, **changes))) == [fault]
