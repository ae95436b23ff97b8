# SPDX-License-Identifier: MIT
"""Collecting the facts: this touches the system and decides nothing."""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from hashlib import sha256
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Any

from pyroute2 import Ethtool, IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from glb.config.json_files import load_director, load_proxy
from glb.config.model import ANY_IPV4, Bind, DirectorConfig, Egress, ProxyConfig
from glb.control.client import Client
from glb.daemon.report import Report
from glb.datapath.foreign_program import role_of_number
from glb.datapath.kernel import object_id, open_program, share_maps
from glb.datapath.libbpf import open_pin_if_there
from glb.datapath.pins import BPFFS, pin_dir
from glb.director.sources import Sources
from glb.doctor.facts import DaemonFacts, HostFacts, LinkFacts, RoutingFacts, SizeFacts, VethPeer, VipFacts
from glb.doctor.gather_sizes import size_facts
from glb.doctor.gather_vips import vip_facts
from glb.doctor.probe import probe_tables
from glb.errors import ControlError, GlbError
from glb.files import read_file
from glb.network.interface import Interface, find_interface, xdp_attached
from glb.network.next_hops import resolve
from glb.network.refusal import PathRefusal
from glb.network.rtnetlink import open_rtnetlink
from glb.network.stack import LocalNetwork, local_networks

_JIT = Path("/proc/sys/net/core/bpf_jit_enable")
_BTF = Path("/sys/kernel/btf/vmlinux")
_CONF = Path("/proc/sys/net/ipv4/conf")
_CONF6 = Path("/proc/sys/net/ipv6/conf")
_ANSWER_SECONDS = 3.0
_STRICTER_COUNTS = ("rp_filter", "arp_ignore", "arp_announce")  # of `all` and the interface's own
_NEIGHBOUR_SECONDS = 1.0
_IFF_UP_AND_RUNNING = 0x41


def host_facts() -> HostFacts:
    major, minor = os.uname().release.split(".")[:2]
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return HostFacts(
        release=(int(major), int("".join(filter(str.isdigit, minor)))),
        jit=_JIT.read_text().strip() != "0" if _JIT.exists() else None,
        btf=_BTF.exists(),
        bpffs=any(mount[1] == str(BPFFS) and mount[2] == "bpf" for mount in mounts),
    )


def daemon_facts(report: Report, binds: Sequence[Bind] = ()) -> DaemonFacts:
    """binds: those that a proxy has to serve; empty if unknown."""
    try:
        interface = find_interface(report.interface)
    except GlbError:
        interface = None
    config = _config(report)
    silent, routing = _routing(report)
    current = _current(report)
    probed, deviations = 0, tuple[str, ...]()
    if interface and config and current and not report.error and config.egress is not Egress.FIB:
        probed, deviations = probe_tables(interface, Path(report.table_file or ""), config)
    link = _link(interface) if interface else None
    pinned, capture_attached = _pinned(report.interface, link.program if link else None)
    next_hops = _next_hops(interface, report, config) if interface and config else {}
    return DaemonFacts(
        report=report,
        alive=report.process.is_alive(),
        link=link,
        pinned=pinned,
        capture_attached=capture_attached,
        attached_role=role_of_number(link.program) if link and link.program else None,
        current=current,
        sysctls=_sysctls(socket.if_indextoname(interface.ip_index)) if interface else {},
        local=_local(),
        stopped=report.process.is_stopped(),
        silent=silent,
        routing=routing,
        vips=_vips(report, interface, binds) if interface else (),
        config=config,
        next_hops=next_hops,
        sizes=_sizes(interface, report, config, next_hops) if interface and config else {},
        probed=probed,
        deviations=deviations,
    )


def _config(report: Report) -> DirectorConfig | None:
    if report.role != "director" or report.config_file is None or report.busy is not None:  # a read may hang
        return None
    try:
        return load_director(Path(report.config_file))
    except GlbError:
        return None


def _current(report: Report) -> bool | None:
    if report.busy is not None:  # a read may hang
        return None
    try:
        if report.role == "director":
            return (
                Sources(Path(report.config_file or ""), Path(report.table_file or "")).contents().digest
                == report.digest
            )
        if report.config_file is None:
            return True
        return sha256(read_file(Path(report.config_file))).hexdigest() == report.digest
    except GlbError:
        return None


def _link(interface: Interface) -> LinkFacts:
    attached = xdp_attached(interface)
    with IPRoute() as netlink:
        [link] = netlink.get_links(interface.index)
        kind = link.get_nested("linkinfo", "kind") or _driver(interface.name)
        peer = _peer(netlink, link) if kind == "veth" else None
    return LinkFacts(
        up=link["flags"] & _IFF_UP_AND_RUNNING == _IFF_UP_AND_RUNNING,
        mtu=interface.mtu,
        kind=kind,
        program=attached.program_id if attached else None,
        mode=attached.mode if attached else None,
        features=_features(interface.name),
        peer=peer,
    )


def _driver(name: str) -> str:
    link = Path(f"/sys/class/net/{name}/device/driver")
    return link.resolve().name if link.exists() else "virtual"


def _peer(netlink: IPRoute, link: Any) -> VethPeer | None:
    """The other end of a veth, in any namespace; None if the kernel does not report it."""
    elsewhere = link.get("link_netnsid")
    where = {} if elsewhere is None else {"if_netnsid": elsewhere}
    try:
        [peer] = netlink.link("get", index=link.get("link"), **where)
    except (NetlinkError, ValueError):
        return None
    xdp = peer.get_attr("IFLA_XDP")
    return VethPeer(peer.get("ifname"), bool(xdp and xdp.get_attr("IFLA_XDP_ATTACHED")))


def _features(name: str) -> frozenset[str]:
    with Ethtool() as ethtool:
        return frozenset(feature for feature, state in ethtool.get_features(name).features.items() if state.enable)


def _pinned(interface: str, attached: int | None) -> tuple[int | None, bool]:
    """The number of the program that is pinned, and whether the attached one is a capture program in its place."""
    fd = open_pin_if_there(pin_dir(interface) / "program")
    if fd is None:
        return None, False
    with ExitStack() as opened:
        opened.callback(os.close, fd)
        number = object_id(fd)
        if attached in (None, number):
            return number, False
        other = open_program(attached)
        opened.callback(os.close, other)
        return number, share_maps(fd, other)


def _sysctls(interface: str) -> Mapping[str, int]:
    """interface: the one with the addresses."""
    values = {key: max(_sysctl(_CONF / "all" / key), _sysctl(_CONF / interface / key)) for key in _STRICTER_COUNTS}
    forwarding, disabled = _CONF / interface / "forwarding", _CONF6 / interface / "disable_ipv6"
    return values | {"forwarding": _sysctl(forwarding), "disable_ipv6": _sysctl(disabled)}


def _sysctl(path: Path) -> int:
    """0 where the kernel has no IPv6."""
    return int(path.read_text()) if path.exists() else 0


def _local() -> tuple[LocalNetwork, ...]:
    with open_rtnetlink() as netlink:
        return tuple(local_networks(netlink))


def _vips(report: Report, interface: Interface, binds: Sequence[Bind]) -> tuple[VipFacts, ...]:
    if report.role != "proxy":
        return ()
    try:
        config = load_proxy(Path(report.config_file or ""))
    except GlbError:  # another finding reports the file
        config = ProxyConfig(sources=(ANY_IPV4,))
    return vip_facts(interface, config, [ip_network(vip) for vip in report.vips], binds)


def _routing(report: Report) -> tuple[str | None, RoutingFacts | None]:
    """Why a director's control socket does not respond, or what it reports of its routing."""
    if report.role != "director" or report.socket is None or not report.process.is_alive():
        return None, None
    try:
        said = Client(Path(report.socket), _ANSWER_SECONDS).get("/v1/routing")
    except ControlError as error:
        return str(error), None
    sessions = tuple((session["peer"], session["state"]) for session in said["sessions"])
    return None, RoutingFacts(
        speaker=said["speaker"],
        draining=said["draining"],
        announced=tuple(said["announced"]),
        last_resort=tuple(said.get("last_resort", ())),  # a daemon from before an upgrade reports none
        not_carried=tuple(said["not_carried"]),
        sessions=sessions,
        fault=said["fault"],
    )


def _next_hops(interface: Interface, report: Report, config: DirectorConfig) -> Mapping[str, PathRefusal | None]:
    """Of the backends in rows. With a configured gateway MAC there is no lookup."""
    if config.gateway_mac is not None:
        return {}
    backends = _backends(report)
    any_interface = config.egress is Egress.FIB
    paths = resolve(interface, backends, _NEIGHBOUR_SECONDS, config.outbound_src_ip, any_interface)
    return {str(backend): paths.refusals.get(backend) for backend in backends}


def _sizes(
    interface: Interface, report: Report, config: DirectorConfig, next_hops: Mapping[str, PathRefusal | None]
) -> Mapping[str, SizeFacts] | str:
    usual = config.mtu or interface.mtu
    reached = {backend for backend in _backends(report) if next_hops.get(str(backend)) is None}
    try:
        return size_facts(
            config.outbound_src_ip, {backend: report.path_mtus.get(str(backend), usual) for backend in sorted(reached)}
        )
    except OSError as error:
        return f"no echoes from {config.outbound_src_ip}: {error.strerror or error}"


def _backends(report: Report) -> set[IPv4Address]:
    """The backends in rows."""
    return {IPv4Address(ip) for table in report.tables for ip, state in table.backends.items() if state != "inactive"}
