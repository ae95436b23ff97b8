# SPDX-License-Identifier: MIT
"""What a director needs around it, and whether it does what its files say. Pure: facts in, findings out."""

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address, ip_network

from glb.config.model import Egress
from glb.doctor.facts import DaemonFacts
from glb.doctor.finding import Finding, Level
from glb.doctor.reach import judge_reach
from glb.network.refusal import Cause

_TUNNEL = 20 + 8 + 8  # IPv4, UDP, GUE with the first word of private data
_HOP = 4
_CLIENTS_MTU = 1500
_LEAST_IPV6_MTU = 1280  # RFC 8200, section 5

_ADD_ROUTE = "`ip route get BACKEND` shows what the kernel finds; add a route to the backend by this interface"
_LOST_REMEDY = (
    "compare the MTU of each switch port, VLAN and router on the path, and of the backend's interface: one takes less,"
    " or a firewall drops ICMP errors. Raise it, or set `mtu` in director.conf to what all of them take"
)
_REMEDIES = {
    Cause.NO_ROUTE: _ADD_ROUTE,
    Cause.BLACKHOLE: "remove the blackhole route or rule, or add a more specific route to the backend",
    Cause.UNREACHABLE: "remove the unreachable route, or add a more specific route to the backend",
    Cause.PROHIBITED: "remove the prohibit route or rule: `ip rule`, `ip route show table all type prohibit`",
    Cause.LOCAL: "a director cannot send through the tunnel to itself: remove the address here, or correct the table",
    Cause.NOT_UNICAST: "correct the backend's address, or the netmask of this interface",
    Cause.ENCAPSULATED: "glb does not encapsulate again: add a route to the backend without `encap`",
    Cause.OTHER_INTERFACE: 'add a route by this interface, or let the kernel choose the interface: `"egress": "fib"`',
    Cause.NO_NEIGHBOUR: "check that the host is up, its address and its VLAN; if it is gone: `glbctl backend drain`",
    Cause.NO_MAC: "glb sends Ethernet frames: add a route to the backend by an Ethernet interface",
    Cause.LOOKUP: _ADD_ROUTE,
}


def judge_director(facts: DaemonFacts) -> Iterator[Finding]:
    if facts.link is None or facts.config is None:
        return
    yield _source(facts, facts.config.outbound_src_ip)
    two_rows = facts.config.alt_hash_fields is not None
    yield _mtu(facts, facts.config.mtu or facts.link.mtu, two_rows)
    yield from _path_mtus(facts, two_rows)
    yield from _sizes(facts)
    yield _vips(facts)
    yield from _backends(facts)
    yield from judge_reach(facts)
    if facts.config.egress is Egress.FIB:
        yield _forwarding(facts)
    if facts.link.program is not None:
        yield _tables(facts)


def _source(facts: DaemonFacts, source: IPv4Address) -> Finding:
    name = facts.report.interface
    if any(source in place.network for place in facts.local):
        return Finding(name, "source", Level.OK, f"the tunnel's source, {source}, is an address of this host")
    what = f"the tunnel's source, {source}, is not an address of this host: routers that check sources drop its packets"
    return Finding(name, "source", Level.ERROR, what, "give an address of this host as `outbound_src_ip`")


def _mtu(facts: DaemonFacts, mtu: int, two_rows: bool) -> Finding:
    name = facts.report.interface
    hops = _hops(facts, two_rows)
    overhead = _overhead(facts, two_rows)
    fits = mtu - overhead
    what = f"MTU {mtu} less the tunnel's {overhead} bytes ({hops} hops): packets of {fits} bytes fit"
    if fits >= _CLIENTS_MTU:
        return Finding(name, "mtu", Level.OK, what)
    remedy = f"an MTU of at least {_CLIENTS_MTU + overhead} between directors and proxies; until then clients are told"
    return Finding(name, "mtu", Level.WARNING, what, remedy)


def _path_mtus(facts: DaemonFacts, two_rows: bool) -> Iterator[Finding]:
    for backend, mtu in facts.report.path_mtus.items():
        fits = mtu - _overhead(facts, two_rows)
        if fits >= _CLIENTS_MTU:
            continue
        what = f"the path to {backend} takes {mtu} bytes: packets of {fits} bytes fit, and clients are told so"
        remedy = f"`ip route get {backend}` shows a route's mtu; else a router on the path: raise the MTU of its link"
        if fits >= _LEAST_IPV6_MTU or not _has_ipv6(facts):
            yield Finding(facts.report.interface, "mtu", Level.WARNING, what, remedy)
        else:
            what += f"; IPv6 clients send {_LEAST_IPV6_MTU} bytes all the same, which are lost"
            yield Finding(facts.report.interface, "mtu", Level.ERROR, what, remedy)


def _sizes(facts: DaemonFacts) -> Iterator[Finding]:
    name = facts.report.interface
    if isinstance(facts.sizes, str):
        yield Finding(name, "mtu", Level.OK, f"packets of full size were not tried: {facts.sizes}")
        return
    silent = sorted((backend for backend, found in facts.sizes.items() if not found.small), key=ip_address)
    for backend, found in facts.sizes.items():
        if found.small and not found.full:
            what = f"packets of {found.size} bytes to {backend} are lost, small ones arrive"
            yield Finding(name, "mtu", Level.ERROR, what, _LOST_REMEDY)
    arrived = sum(found.full for found in facts.sizes.values())
    if arrived:
        what = f"packets of full size arrive at {arrived} of {len(facts.sizes)} backends"
        yield Finding(name, "mtu", Level.OK, what)
    if silent:
        what = f"packets of full size were not tried: no echo through the tunnel from {', '.join(silent)}"
        yield Finding(name, "mtu", Level.OK, what)


def _has_ipv6(facts: DaemonFacts) -> bool:
    return any(bind.startswith("[") for table in facts.report.tables for bind in table.binds)


def _hops(facts: DaemonFacts, two_rows: bool) -> int:
    return max((table.depth for table in facts.report.tables), default=1) * (2 if two_rows else 1)


def _overhead(facts: DaemonFacts, two_rows: bool) -> int:
    """Bytes that the tunnel adds, of the table with the longest rows."""
    return _TUNNEL + _HOP * (_hops(facts, two_rows) - 1)


def _vips(facts: DaemonFacts) -> Finding:
    name = facts.report.interface
    networks = {
        ip_network(bind.rpartition(":")[0].strip("[]")) for table in facts.report.tables for bind in table.binds
    }
    local = sorted(
        f"{local.network} ({local.interface})"
        for local in facts.local
        if any(network.version == local.network.version and network.overlaps(local.network) for network in networks)
    )
    if not local:
        return Finding(name, "vip", Level.OK, "no VIP is local to this host")
    return Finding(
        name,
        "vip",
        Level.WARNING,
        f"{', '.join(local)}: local to this host: its stack answers what the director passes on to it",
        "remove it here (`ip address del`, `ip route del local`): routers route VIPs to directors, proxies have them",
    )


def _backends(facts: DaemonFacts) -> Iterator[Finding]:
    name = facts.report.interface
    for backend, refusal in sorted(facts.next_hops.items(), key=lambda pair: ip_address(pair[0])):
        if refusal is not None:
            yield Finding(name, "backend", Level.ERROR, f"{backend}: {refusal}", _REMEDIES[refusal.cause])
    known = sum(refusal is None for refusal in facts.next_hops.values())
    if known:
        yield Finding(name, "backend", Level.OK, f"next hop resolved for {known} of {len(facts.next_hops)} backends")


def _forwarding(facts: DaemonFacts) -> Finding:
    name = facts.report.interface
    if facts.sysctls.get("forwarding"):
        return Finding(name, "forwarding", Level.OK, "the kernel's routes may be asked")
    what = '"egress": "fib", but the interface does not forward: the kernel refuses to say where packets leave'
    return Finding(name, "forwarding", Level.ERROR, what, f"sysctl net.ipv4.conf.{name}.forwarding=1")


def _tables(facts: DaemonFacts) -> Finding:
    name = facts.report.interface
    if facts.deviations:
        what = f"the program does not do what the tables say: {'; '.join(facts.deviations[:3])}"
        return Finding(
            name, "tables", Level.ERROR, what, "reload (SIGHUP); if it stays: restart the director, and report it"
        )
    if not facts.probed:
        what = "not tried: the files are not those in force, or the way of a packet depends on the kernel's routes"
        return Finding(name, "tables", Level.OK, what)
    return Finding(
        name, "tables", Level.OK, f"{facts.probed} packets run through the program went where the tables say"
    )
