# SPDX-License-Identifier: MIT
"""What the doctor makes of facts: every fault is found, with a remedy, and nothing else."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest

from glb.config.model import DirectorConfig, Egress, HashFields
from glb.daemon.process import ProcessId
from glb.daemon.report import HeldBackend, Report, TableSummary
from glb.doctor.examine import judge_daemon, judge_daemons
from glb.doctor.facts import BindPorts, DaemonFacts, HostFacts, LinkFacts, RoutingFacts, SizeFacts, VethPeer, VipFacts
from glb.doctor.finding import Finding, Level
from glb.doctor.host import judge_host
from glb.network.listeners import ListeningSocket
from glb.network.refusal import PathRefusal, RefusalCause
from glb.network.return_path import CLIENTS, Break, ReturnPath
from glb.network.stack import LocalNetwork, PacketFate
from glb.proxy.return_paths import faults_of

HOST = HostFacts(release=(6, 1), jit=True, btf=True, bpffs=True)
LINK = LinkFacts(
    up=True, mtu=9000, kind="veth", program=7, mode="xdp", features=frozenset({"rx-gro"}), peer=VethPeer("port1", True)
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
    local=(LocalNetwork(ip_network("10.0.0.100"), "eth0", is_quiet=False),),
    config=DirectorConfig(IPv4Address("10.0.0.100")),
    next_hops={"10.0.0.1": None},
    probed=1,
)
VIP4, VIP6 = IPv4Address("203.0.113.10"), IPv6Address("2001:db8:f::10")


def on_lo(vip: IPv4Address | IPv6Address) -> LocalNetwork:
    return LocalNetwork(ip_network(vip), "lo", is_quiet=True)


def paths(vip: IPv4Address | IPv6Address, broken: Break | None = None, **changes: Any) -> tuple[ReturnPath, ...]:
    router = ip_address("10.0.0.1" if vip.version == 4 else "2001:db8::1")
    return tuple(replace(ReturnPath(vip, c, broken, "eth0", router, 1500), **changes) for c in CLIENTS[vip.version])


def vip(address: IPv4Address | IPv6Address, **changes: Any) -> VipFacts:
    there = VipFacts(
        ip_network(address),
        is_configured=True,
        local=on_lo(address),
        fates=(PacketFate.LOCAL, PacketFate.LOCAL),
        paths=paths(address),
        listeners=(ListeningSocket("tcp", IPv6Address("::"), 80), ListeningSocket("udp", address, 53)),
        ports=(BindPorts("tcp", 80, 80), BindPorts("udp", 53, 53)),
    )
    return replace(there, **changes)


V6 = (TableSummary("web", ("[2001:db8:f::10]:80/tcp",), {"10.0.0.1": "active"}, 3),)
PROXY = replace(DIRECTOR, report=replace(REPORT, role="proxy", tables=()), config=None, vips=(vip(VIP4), vip(VIP6)))


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
        ({"peer": VethPeer("port1", False)}, ("veth", Level.ERROR)),
        ({"features": frozenset({"rx-lro"})}, ("offloads", Level.WARNING)),
        ({"kind": "ixgbe", "peer": None, "features": frozenset({"rx-vlan-hw-parse"})}, ("offloads", Level.WARNING)),
        ({"mtu": 1543}, ("mtu", Level.WARNING)),
    ],
)
def test_faults_of_a_directors_interface(changes: dict[str, Any], fault: tuple[str, Level]) -> None:
    assert faults(judge_daemon(replace(DIRECTOR, link=replace(LINK, **changes)))) == [fault]


def test_host_without_a_daemon_is_a_warning() -> None:
    assert faults(list(judge_daemons([], []))) == [("daemons", Level.WARNING)]
    assert faults(list(judge_daemons([REPORT], ["eth0"]))) == []


def test_a_datapath_without_a_daemons_status_is_an_error() -> None:
    assert faults(list(judge_daemons([], ["eth0"]))) == [("daemon", Level.ERROR)]
    assert faults(list(judge_daemons([REPORT], ["eth0", "eth1"]))) == [("daemon", Level.ERROR)]


def test_a_program_of_glb_is_never_taken_for_another_tools() -> None:
    unseen = replace(DIRECTOR, pinned=None, attached_role="director")
    [finding] = [found for found in judge_daemon(unseen) if found.level is not Level.OK]

    assert (finding.check, finding.level) == ("program", Level.WARNING)
    assert "xdp off" not in finding.remedy
    assert faults(judge_daemon(replace(unseen, attached_role="proxy"))) == [("program", Level.ERROR)]


def test_capture_program_is_no_fault() -> None:
    capturing = replace(DIRECTOR, link=replace(LINK, program=8), capture_attached=True)

    assert faults(judge_daemon(capturing)) == []


def test_mtu_that_fits_tunnel_and_client_packets_is_ok() -> None:
    assert faults(judge_daemon(replace(DIRECTOR, link=replace(LINK, mtu=1544)))) == []


@pytest.mark.parametrize(
    ("sizes", "what"),
    [
        ({"10.0.0.1": SizeFacts(1500, small=True, full=True)}, "packets of full size arrive at 1 of 1 backends"),
        (
            {"10.0.0.1": SizeFacts(1500, small=False, full=False)},
            "packets of full size were not tested: no echo through the tunnel from 10.0.0.1",
        ),
        ("no echoes from 10.0.0.100", "packets of full size were not tested: no echoes from 10.0.0.100"),
    ],
)
def test_without_a_small_echo_no_size_is_judged(sizes: dict[str, SizeFacts] | str, what: str) -> None:
    found = judge_daemon(replace(DIRECTOR, sizes=sizes))

    assert faults(found) == []
    assert what in [finding.what for finding in found]


def test_two_rows_need_more_room() -> None:
    config = replace(DIRECTOR.config, alt_hash_fields=HashFields()) if DIRECTOR.config else None
    facts = replace(DIRECTOR, config=config, link=replace(LINK, mtu=1544))

    assert faults(judge_daemon(facts)) == [("mtu", Level.WARNING)]


HELD = (HeldBackend("web", "10.0.0.1", "tcp 80: timeout"),)
ROUTING = RoutingFacts(
    "bird", False, ("203.0.113.0/24",), (), not_carried=(), sessions=(("10.0.0.254", "established"),), fault=None
)


def with_backends(backends: dict[str, str], **changes: Any) -> Report:
    return replace(REPORT, tables=(replace(REPORT.tables[0], backends=backends),), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"routing": ROUTING},
        {"routing": replace(ROUTING, speaker="none", announced=(), sessions=())},
        {"report": with_backends({"10.0.0.1": "active", "10.0.0.2": "inactive"}, unreachable=("10.0.0.2",))},
        {"local": (*DIRECTOR.local, on_lo(IPv4Address("192.0.2.1")), on_lo(VIP6))},
    ],
)
def test_a_director_without_a_fault(changes: dict[str, Any]) -> None:
    assert faults(judge_daemon(replace(DIRECTOR, **changes))) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"alive": False}, ("daemon", Level.ERROR)),
        ({"report": replace(REPORT, error="tables[0]: bad")}, ("files", Level.ERROR)),
        ({"current": None}, ("files", Level.ERROR)),
        ({"current": False}, ("files", Level.WARNING)),
        ({"report": replace(REPORT, path_mtus={"10.0.0.1": 1400})}, ("mtu", Level.WARNING)),
        ({"report": replace(REPORT, path_mtus={"10.0.0.1": 1300}, tables=V6)}, ("mtu", Level.ERROR)),
        ({"sizes": {"10.0.0.1": SizeFacts(1500, small=True, full=False)}}, ("mtu", Level.ERROR)),
        *(({"next_hops": {"10.0.0.1": PathRefusal(cause)}}, ("backend", Level.ERROR)) for cause in RefusalCause),
        ({"stopped": True}, ("daemon", Level.ERROR)),
        ({"silent": "eth0.sock: no answer"}, ("control", Level.ERROR)),
        ({"local": (*DIRECTOR.local, on_lo(VIP4))}, ("vip", Level.WARNING)),
        (
            {"local": (*DIRECTOR.local, LocalNetwork(ip_network("203.0.0.0/16"), "lo", is_quiet=True))},
            ("vip", Level.WARNING),
        ),
        ({"report": replace(REPORT, held=HELD, cut_off=("web",))}, ("health", Level.ERROR)),
        ({"report": replace(REPORT, unreachable=("10.0.0.1",))}, ("health", Level.ERROR)),
        ({"report": with_backends({"10.0.0.1": "active", "10.0.0.2": "active"}, held=HELD)}, ("health", Level.ERROR)),
        ({"report": with_backends({"10.0.0.1": "active, unhealthy"})}, ("health", Level.ERROR)),
        (
            {"report": with_backends({"10.0.0.1": "active, unhealthy", "10.0.0.2": "active"})},
            ("health", Level.WARNING),
        ),
        ({"routing": replace(ROUTING, fault="bird is not installed")}, ("routing", Level.ERROR)),
        ({"routing": replace(ROUTING, sessions=(("10.0.0.254", "active"),))}, ("routing", Level.WARNING)),
        ({"routing": replace(ROUTING, not_carried=("2001:db8:f::/64",))}, ("routing", Level.WARNING)),
        ({"routing": replace(ROUTING, last_resort=("203.0.113.0/24",))}, ("routing", Level.WARNING)),
        ({"routing": replace(ROUTING, draining=True)}, ("routing", Level.WARNING)),
        ({"routing": replace(ROUTING, announced=())}, ("routing", Level.WARNING)),
        ({"local": ()}, ("source", Level.ERROR)),
        ({"report": replace(REPORT, warnings=("ft.json: tables[0].seed: is an example",))}, ("values", Level.WARNING)),
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


PUBLIC = IPv4Address("192.0.0.9")  # globally reachable, RFC 7723
NOT_LOCAL = vip(VIP6, local=None, fates=(PacketFate.NO_ROUTE, PacketFate.NO_ROUTE), paths=(), listeners=())
REFUSED = vip(VIP4, fates=(PacketFate.LOCAL, PacketFate.REFUSED))


@pytest.mark.parametrize(
    "changes",
    [
        {"vips": (vip(VIP4, local=LocalNetwork(ip_network("203.0.113.0/24"), "lo", is_quiet=True)),)},
        {"vips": (vip(VIP4, local=LocalNetwork(ip_network(VIP4), "tunl0", is_quiet=True)),)},
        {"vips": (vip(VIP4, namespace="web", fates=(PacketFate.FORWARDED, PacketFate.FORWARDED)),)},
        {"vips": (vip(VIP6),), "sysctls": {"arp_ignore": 0, "arp_announce": 0}},
        {"sysctls": {**PROXY.sysctls, "rp_filter": 1}},
    ],
)
def test_a_proxy_without_a_fault(changes: dict[str, Any]) -> None:
    assert faults(judge_daemon(replace(PROXY, **changes))) == []


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (paths(VIP4), ""),
        (paths(VIP4, Break.NO_ROUTE), ""),
        (paths(VIP4, Break.NO_ROUTE, has_router=False), "from 203.0.113.10: no route to clients such as 4.0.0.1"),
        (
            paths(VIP4, Break.NO_NEIGHBOUR),
            "from 203.0.113.10: 10.0.0.1 on eth0 does not answer ARP or neighbour discovery",
        ),
    ],
)
def test_what_a_proxy_reports_of_its_return_paths(broken: tuple[ReturnPath, ...], fault: str) -> None:
    assert faults_of([*broken, *paths(VIP6)]) == {"ipv4": fault, "ipv6": ""}


@pytest.mark.parametrize(
    ("listener", "takes"),
    [
        (ListeningSocket("tcp", VIP4, 80), True),
        (ListeningSocket("tcp", IPv4Address("0.0.0.0"), 80), True),
        (ListeningSocket("tcp", IPv6Address("::"), 80), True),
        (ListeningSocket("tcp", IPv6Address("::"), 80, only_ipv6=True), False),
        (ListeningSocket("tcp", IPv4Address("127.0.0.1"), 80), False),
        (ListeningSocket("tcp", VIP4, 80, interface=7), True),
        (ListeningSocket("tcp", VIP4, 80, interface=8), False),
    ],
)
def test_which_sockets_take_a_packet(listener: ListeningSocket, takes: bool) -> None:
    assert listener.takes(VIP4, 7) is takes


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"report": replace(PROXY.report, agent_trouble="10.0.0.1:19523: in use")}, ("agent", Level.WARNING)),
        ({"report": replace(PROXY.report, metrics_trouble="127.0.0.1:9480: in use")}, ("metrics", Level.WARNING)),
        ({"sysctls": {"arp_ignore": 0, "arp_announce": 2}}, ("arp_ignore", Level.WARNING)),
        ({"sysctls": {"arp_ignore": 1, "arp_announce": 1}}, ("arp_announce", Level.WARNING)),
        ({"stopped": True}, ("daemon", Level.ERROR)),
        ({"vips": ()}, ("vip", Level.ERROR)),
        ({"sysctls": {**PROXY.sysctls, "disable_ipv6": 1}}, ("vip", Level.ERROR)),
        ({"vips": (vip(VIP4), NOT_LOCAL)}, ("vip", Level.ERROR)),
        ({"vips": (vip(VIP4, is_reached=False),)}, ("vip", Level.ERROR)),
        ({"vips": (vip(VIP4, namespace="web", fates=(PacketFate.NO_ROUTE,) * 2),)}, ("vip", Level.ERROR)),
        ({"vips": (REFUSED,), "sysctls": {**PROXY.sysctls, "rp_filter": 1}}, ("rp_filter", Level.ERROR)),
        ({"vips": (REFUSED,), "sysctls": {**PROXY.sysctls, "rp_filter": 2}}, ("rp_filter", Level.ERROR)),
        ({"vips": (REFUSED,)}, ("rp_filter", Level.ERROR)),
        ({"vips": (vip(VIP4, listeners=()),)}, ("listener", Level.ERROR)),
        ({"vips": (vip(VIP4, listeners=(ListeningSocket("tcp", VIP4, 80),)),)}, ("listener", Level.ERROR)),
        ({"vips": (vip(VIP4, listeners=(), ports=(), is_configured=False),)}, ("listener", Level.ERROR)),
        ({"vips": (vip(VIP4, paths=paths(VIP4, Break.NO_ROUTE, has_router=False)),)}, ("return", Level.ERROR)),
        ({"vips": (vip(VIP4, paths=paths(VIP4, Break.NO_ROUTE)),)}, ("return", Level.WARNING)),
        ({"vips": (vip(PUBLIC, paths=paths(PUBLIC, Break.NO_ROUTE)),)}, ("return", Level.ERROR)),
        ({"vips": (vip(VIP4, paths=paths(VIP4, Break.REFUSED)),)}, ("return", Level.ERROR)),
        ({"vips": (vip(VIP6, paths=paths(VIP6, Break.NO_NEIGHBOUR)), vip(VIP4))}, ("return", Level.ERROR)),
        ({"vips": (vip(VIP6, paths=paths(VIP6, mtu=1279)),)}, ("return", Level.ERROR)),
        ({"vips": (vip(VIP4, local=LocalNetwork(ip_network(VIP4), "eth0", False)),)}, ("arp", Level.WARNING)),
    ],
)
def test_faults_of_a_proxy(changes: dict[str, Any], fault: tuple[str, Level]) -> None:
    assert faults(judge_daemon(replace(PROXY, **changes))) == [fault]


@pytest.mark.parametrize(
    ("vips", "expected"),
    [
        (("203.0.113.10", "2001:db8:f::10"), []),
        (("203.0.113.0/24", "2001:db8::/32"), []),
        (("2001:db8:f::10",), [("vip", Level.ERROR)]),
        (("203.0.113.11",), [("vip", Level.ERROR), ("vip", Level.ERROR)]),
        ((), []),
    ],
)
def test_a_vip_that_the_proxy_would_drop_is_named(vips: tuple[str, ...], expected: list[tuple[str, Level]]) -> None:
    findings = list(judge_daemon(replace(PROXY, report=PROXY.report.changed(vips=vips))))
    assert faults(findings) == expected
    assert all("drop_not_vip" in finding.what for finding in findings if finding.level is Level.ERROR)


def test_an_address_that_no_table_names_may_be_no_vip() -> None:
    alone = replace(PROXY, vips=(vip(VIP4, is_configured=False, ports=()),), report=PROXY.report.changed(vips=("::2",)))
    assert ("vip", Level.WARNING) in faults(list(judge_daemon(alone)))
