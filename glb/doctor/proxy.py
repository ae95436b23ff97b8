# SPDX-License-Identifier: MIT
"""Checks of a proxy: its stack accepts packets for its VIPs, answers reach clients. Pure: facts in, findings out."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from itertools import groupby

from glb.doctor.facts import DaemonFacts, VipFacts
from glb.doctor.finding import Finding, Level
from glb.network.messages import Network
from glb.network.return_path import Break, ReturnPath
from glb.network.stack import PacketFate

_STRICT, _LOOSE = 1, 2  # rp_filter
_LEAST_MTU = {4: 576, 6: 1280}  # RFC 791, RFC 8200

_PATH_REMEDIES = {
    Break.NO_ROUTE: "add a default route, or routes to all clients",
    Break.REFUSED: "`ip route get CLIENT from VIP` names the route or rule that rejects them: remove it",
    Break.NO_NEIGHBOUR: "check the router's address and VLAN: `ip neigh`, `ip route`",
}


def judge_proxy(facts: DaemonFacts) -> Iterator[Finding]:
    yield from _vips(facts)
    if facts.alive:
        yield _agent(facts)


def _vips(facts: DaemonFacts) -> Iterator[Finding]:
    name = facts.report.interface
    if not facts.vips:
        what = "this host has no VIP: all tunnelled packets are dropped (drop_not_vip)"
        remedy = "ip address add VIP/32 dev lo; or list the VIPs as `vips` in proxy.conf"
        yield Finding(name, "vip", Level.ERROR, what, remedy)
        return
    yield from _local(name, facts)
    yield from _not_admitted(name, facts)
    yield _rp_filter(facts)
    yield from _listeners(name, facts.vips)
    yield from _return_paths(name, facts.vips)
    yield from _arp(facts)


def _local(name: str, facts: DaemonFacts) -> Iterator[Finding]:
    taken = []
    for vip in facts.vips:
        if vip.network.version == 6 and facts.sysctls.get("disable_ipv6"):
            what = f"{vip}: IPv6 is disabled on {name}: decapsulated packets are dropped"
            yield Finding(name, "vip", Level.ERROR, what, f"sysctl net.ipv6.conf.{name}.disable_ipv6=0")
        elif not vip.is_reached and vip.local is not None:
            what = f"{vip} is not a VIP of the proxy: its tunnelled packets are dropped (drop_not_vip)"
            remedy = "`glbctl proxy status` lists its VIPs: correct `vips` in proxy.conf, or the addresses on lo"
            yield Finding(name, "vip", Level.ERROR, what, remedy)
        elif _is_taken(vip):
            taken.append(vip)
        elif vip.local is None or PacketFate.REFUSED not in vip.fates:
            yield _not_taken(name, vip)
    known = ", ".join(f"{vip} ({vip.local.interface})" for vip in taken if vip.local)
    if known and taken[0].is_configured:
        yield Finding(name, "vip", Level.OK, f"the stack accepts packets for {known}")
    elif known:
        what = f"the stack accepts packets for {known}; `--table FILE` compares these with the table's VIPs"
        yield Finding(name, "vip", Level.OK, what)


def _not_admitted(name: str, facts: DaemonFacts) -> Iterator[Finding]:
    """Local addresses that are not VIPs of the proxy: an error if a table names them.

    A daemon that reports no VIPs has warned about that, or is of an earlier version.
    """
    admitted = [ip_network(text) for text in facts.report.vips]
    if not facts.alive or not admitted:
        return
    for vip in facts.vips:
        if vip.local is None or any(_overlap(vip.network, place) for place in admitted):
            continue
        what = (
            f"{vip} ({vip.local.interface}) is not a VIP of the proxy: its tunnelled packets are dropped (drop_not_vip)"
        )
        level = Level.ERROR if vip.is_configured else Level.WARNING
        remedy = "add it to lo as a single address, or list all VIPs as `vips` in proxy.conf"
        yield Finding(name, "vip", level, what, remedy)


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _is_taken(vip: VipFacts) -> bool:
    wanted = PacketFate.FORWARDED if vip.namespace else PacketFate.LOCAL
    return vip.local is not None and all(fate is wanted for fate in vip.fates)


def _not_taken(name: str, vip: VipFacts) -> Finding:
    if vip.namespace:
        what = f"{vip}: packets from {name} do not reach it: they are {vip.fates[0]}"
        return Finding(
            name, "vip", Level.ERROR, what, f"add a route to it, and sysctl net.ipv4.conf.{name}.forwarding=1"
        )
    alone = vip.network.prefixlen == vip.network.max_prefixlen
    remedy = f"ip address add {vip.network} dev lo" if alone else f"ip route add local {vip.network} dev lo"
    what = f"{vip} is not local: decapsulated packets for it are {vip.fates[0]}"
    return Finding(name, "vip", Level.ERROR, what, remedy)


def _rp_filter(facts: DaemonFacts) -> Finding:
    name, value = facts.report.interface, facts.sysctls.get("rp_filter", 0)
    refused = [str(vip) for vip in facts.vips if PacketFate.REFUSED in vip.fates]
    if not refused:
        return Finding(name, "rp_filter", Level.OK, f"rp_filter is {value} and drops no client's packets")
    if value == _LOOSE:
        what = "rp_filter is 2 (loose), and there is no route back to clients"
        remedy = f"add a default route, or sysctl net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{name}.rp_filter=0"
    elif value == _STRICT:
        what = f"rp_filter is 1 (strict), and the route back to clients does not leave by {name}"
        remedy = f"sysctl net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{name}.rp_filter=0"
    else:
        what = "the kernel treats clients' addresses as its own, or as martians"
        remedy = "`ip route get VIP from CLIENT iif IFACE`, and `ip rule`, show the reason"
    return Finding(name, "rp_filter", Level.ERROR, f"{what}: packets for {', '.join(refused)} are dropped", remedy)


def _listeners(name: str, vips: Sequence[VipFacts]) -> Iterator[Finding]:
    there = []
    for vip in vips:
        if vip.local is None:
            continue
        if missing := [
            str(ports) for ports in vip.ports if not _has_listener(vip, ports.protocol, ports.first, ports.last)
        ]:
            what = f"{vip}: no socket listens on {', '.join(missing)}: connections are refused"
            yield Finding(
                name, "listener", Level.ERROR, what, "start the server, or correct the address to which it binds"
            )
        elif not vip.listeners and vip.is_configured:
            continue
        elif not vip.listeners:
            what = f"{vip}: no TCP or UDP socket listens on it: connections are refused"
            yield Finding(
                name, "listener", Level.ERROR, what, "start the server, or correct the address to which it binds"
            )
        else:
            there.append(f"{vip}: {_ports(vip)}")
    if there:
        yield Finding(name, "listener", Level.OK, f"sockets listen on {'; '.join(there)}")


def _has_listener(vip: VipFacts, protocol: str, first: int, last: int) -> bool:
    return any(one.protocol == protocol and first <= one.port <= last for one in vip.listeners)


def _ports(vip: VipFacts) -> str:
    by_protocol = groupby(sorted({(one.protocol, one.port) for one in vip.listeners}), key=lambda pair: pair[0])
    return ", ".join(f"{protocol} {' '.join(str(port) for _, port in group)}" for protocol, group in by_protocol)


def _return_paths(name: str, vips: Sequence[VipFacts]) -> Iterator[Finding]:
    """One finding for each kind of break and IP version."""
    paths = [path for vip in vips for path in vip.paths]
    broken = sorted((path for path in paths if path.broken), key=_order)
    for (cause, version, *_), group in groupby(broken, key=_order):
        yield _broken(name, Break(cause), version, list(group))
    whole = [path for path in paths if not path.broken]
    for version, least in _LEAST_MTU.items():
        if small := [path for path in whole if path.vip.version == version and (path.mtu or least) < least]:
            what = f"the route back to IPv{version} clients by {small[0].interface} has an MTU of {small[0].mtu}"
            yield Finding(name, "return", Level.ERROR, what, f"ip link set {small[0].interface} mtu 1500")
    if whole and not broken:
        routes = {f"by {path.interface}{f' and {path.next_hop}' * _has_router(path)}, MTU {path.mtu}" for path in whole}
        yield Finding(name, "return", Level.OK, f"answers leave {'; '.join(sorted(routes))}")


def _order(path: ReturnPath) -> tuple[str, int, str]:
    return str(path.broken), path.vip.version, str(path.next_hop)


def _has_router(path: ReturnPath) -> bool:
    return path.next_hop != path.client


def _broken(name: str, cause: Break, version: int, paths: Sequence[ReturnPath]) -> Finding:
    vips = ", ".join(sorted({str(path.vip) for path in paths}))
    clients = ", ".join(sorted({str(path.client) for path in paths}))
    if cause is Break.NO_NEIGHBOUR:
        where = f"{paths[0].next_hop} on {paths[0].interface}"
        what = (
            f"answers from {vips} to IPv{version} clients are lost: {where} does not answer ARP or neighbour discovery"
        )
        return Finding(name, "return", Level.ERROR, what, _PATH_REMEDIES[cause])
    what = f"answers from {vips} to IPv{version} clients such as {clients} are lost: there is {cause}"
    if not any(path.is_lost for path in paths):
        what = f"{what}; this is correct only if there are routes to the networks of all clients"
        return Finding(name, "return", Level.WARNING, what, _PATH_REMEDIES[cause])
    return Finding(name, "return", Level.ERROR, what, _PATH_REMEDIES[cause])


def _arp(facts: DaemonFacts) -> Iterator[Finding]:
    """Both sysctls keep the host from claiming IPv4 VIPs by ARP on the network."""
    name = facts.report.interface
    vips = [vip for vip in facts.vips if vip.network.version == 4 and vip.local and not vip.namespace]
    if shown := [(vip, vip.local.interface) for vip in vips if vip.local and not vip.local.is_quiet]:
        listed = ", ".join(f"{vip} ({interface})" for vip, interface in shown)
        what = f"{listed}: on an interface that answers ARP for it: packets may arrive here without passing a director"
        remedy = f"ip address add {shown[0][0].network} dev lo; ip address del {shown[0][0].network} dev {shown[0][1]}"
        yield Finding(name, "arp", Level.WARNING, what, remedy)
    if not vips:
        return
    for key, least, harm in (
        ("arp_ignore", 1, "answers ARP for the VIPs: their packets may arrive here without passing a director"),
        ("arp_announce", 2, "may use a VIP as the source of its ARP requests, from which other hosts learn it"),
    ):
        value = facts.sysctls.get(key, 0)
        if value >= least:
            yield Finding(name, key, Level.OK, f"{key} is {value}")
        else:
            remedy = f"sysctl net.ipv4.conf.all.{key}={least}"
            yield Finding(name, key, Level.WARNING, f"{key} is {value}: this host {harm}", remedy)


def _agent(facts: DaemonFacts) -> Finding:
    name, report = facts.report.interface, facts.report
    if report.agent_trouble is not None:
        what = f"the agent does not listen, so `backend drain --wait` cannot check this proxy: {report.agent_trouble}"
        remedy = (
            "free the port, or set `agent` in proxy.conf to another port or address; the daemon retries every second"
        )
        return Finding(name, "agent", Level.WARNING, what, remedy)
    where = f"listening on {', '.join(report.agent)}" if report.agent else "disabled in proxy.conf"
    return Finding(name, "agent", Level.OK, where)
