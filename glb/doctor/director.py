# SPDX-License-Identifier: MIT
"""Checks of a director: its network, its backends, its announcements, its tables. Pure: facts in, findings out."""

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address, ip_network

from glb.config.model import Egress
from glb.daemon.report import TableSummary
from glb.doctor.facts import DaemonFacts, RoutingFacts
from glb.doctor.finding import Finding, Level
from glb.network.refusal import RefusalCause
from glb.printable import plural

_TUNNEL = 20 + 8 + 8  # IPv4, UDP, GUE with the first word of private data
_HOP = 4
_CLIENTS_MTU = 1500
_LEAST_IPV6_MTU = 1280  # RFC 8200, section 5

_ADD_ROUTE = "`ip route get BACKEND` shows what the kernel finds; add a route to the backend by this interface"
_LOST_REMEDY = (
    "compare the MTU of each switch port, VLAN and router on the path, and of the backend's interface: one is smaller,"
    " or a firewall drops ICMP errors. Raise it, or set `mtu` in director.conf to the smallest"
)
_REMEDIES = {
    RefusalCause.NO_ROUTE: _ADD_ROUTE,
    RefusalCause.BLACKHOLE: "remove the blackhole route or rule, or add a more specific route to the backend",
    RefusalCause.UNREACHABLE: "remove the unreachable route, or add a more specific route to the backend",
    RefusalCause.PROHIBITED: "remove the prohibit route or rule: `ip rule`, `ip route show table all type prohibit`",
    RefusalCause.LOCAL: "a director cannot tunnel to itself: remove the address here, or correct the table",
    RefusalCause.NOT_UNICAST: "correct the backend's address, or the netmask of this interface",
    RefusalCause.ENCAPSULATED: "glb does not encapsulate again: add a route to the backend without `encap`",
    RefusalCause.OTHER_INTERFACE: 'add a route by this interface, or set `"egress": "fib"`: the kernel then chooses it',
    RefusalCause.NO_NEIGHBOUR: "check that the host is up, its address and VLAN; if it is gone: `glbctl backend drain`",
    RefusalCause.NO_MAC: "glb sends Ethernet frames: add a route to the backend by an Ethernet interface",
    RefusalCause.LOOKUP: _ADD_ROUTE,
}
_LOOK = "`glbctl backend list` shows the result of each check"
_COMPARE = (
    "check routes, firewall and VLAN from this host to the backends; if the other directors report the same, check the"
    f" backends; {_LOOK}"
)


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
    yield from _reach(facts)
    if facts.config.egress is Egress.FIB:
        yield _forwarding(facts)
    if facts.link.program is not None:
        yield _tables(facts)


def _source(facts: DaemonFacts, source: IPv4Address) -> Finding:
    name = facts.report.interface
    if any(source in place.network for place in facts.local):
        return Finding(name, "source", Level.OK, f"the tunnel's source, {source}, is an address of this host")
    what = f"the tunnel's source, {source}, is not an address of this host: routers that check sources drop its packets"
    return Finding(name, "source", Level.ERROR, what, "set `outbound_src_ip` to an address of this host")


def _mtu(facts: DaemonFacts, mtu: int, two_rows: bool) -> Finding:
    name = facts.report.interface
    hops = _hops(facts, two_rows)
    overhead = _overhead(facts, two_rows)
    fits = mtu - overhead
    what = f"MTU {mtu} less the tunnel's {overhead} bytes ({plural(hops, 'hop')}): packets of {fits} bytes fit"
    if fits >= _CLIENTS_MTU:
        return Finding(name, "mtu", Level.OK, what)
    remedy = f"an MTU of at least {_CLIENTS_MTU + overhead} between directors and proxies; or clients must send less"
    return Finding(name, "mtu", Level.WARNING, what, remedy)


def _path_mtus(facts: DaemonFacts, two_rows: bool) -> Iterator[Finding]:
    for backend, mtu in facts.report.path_mtus.items():
        fits = mtu - _overhead(facts, two_rows)
        if fits >= _CLIENTS_MTU:
            continue
        what = f"the path to {backend} takes {mtu} bytes: packets of {fits} bytes fit; larger ones are rejected by ICMP"
        remedy = (
            f"`ip route get {backend}` shows a route's mtu; otherwise raise the MTU of the link of a router on the path"
        )
        if fits >= _LEAST_IPV6_MTU or not _has_ipv6(facts):
            yield Finding(facts.report.interface, "mtu", Level.WARNING, what, remedy)
        else:
            what += f"; IPv6 clients may send {_LEAST_IPV6_MTU} bytes, which are lost"
            yield Finding(facts.report.interface, "mtu", Level.ERROR, what, remedy)


def _sizes(facts: DaemonFacts) -> Iterator[Finding]:
    name = facts.report.interface
    if isinstance(facts.sizes, str):
        yield Finding(name, "mtu", Level.OK, f"packets of full size were not tested: {facts.sizes}")
        return
    silent = sorted((backend for backend, found in facts.sizes.items() if not found.small), key=ip_address)
    for backend, found in facts.sizes.items():
        if found.small and not found.full:
            what = f"packets of {found.size} bytes to {backend} are lost; small ones arrive"
            yield Finding(name, "mtu", Level.ERROR, what, _LOST_REMEDY)
    arrived = sum(found.full for found in facts.sizes.values())
    if arrived:
        what = f"packets of full size arrive at {arrived} of {len(facts.sizes)} backends"
        yield Finding(name, "mtu", Level.OK, what)
    if silent:
        what = f"packets of full size were not tested: no echo through the tunnel from {', '.join(silent)}"
        yield Finding(name, "mtu", Level.OK, what)


def _has_ipv6(facts: DaemonFacts) -> bool:
    return any(bind.startswith("[") for table in facts.report.tables for bind in table.binds)


def _hops(facts: DaemonFacts, two_rows: bool) -> int:
    return max((table.depth for table in facts.report.tables), default=1) * (2 if two_rows else 1)


def _overhead(facts: DaemonFacts, two_rows: bool) -> int:
    """Bytes that the tunnel adds, for the table with the deepest rows."""
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
        f"{', '.join(local)}: local to this host, whose stack answers the packets that the director passes to it",
        "remove it here (`ip address del`, `ip route del local`): only proxies have VIPs",
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
        return Finding(name, "forwarding", Level.OK, "the kernel forwards")
    what = '"egress": "fib", but forwarding is off on the interface: the kernel does not look up routes for the program'
    return Finding(name, "forwarding", Level.ERROR, what, f"sysctl net.ipv4.conf.{name}.forwarding=1")


def _tables(facts: DaemonFacts) -> Finding:
    name = facts.report.interface
    if facts.deviations:
        what = f"the program does not follow the tables: {'; '.join(facts.deviations[:3])}"
        return Finding(
            name,
            "tables",
            Level.ERROR,
            what,
            "reload (SIGHUP); if that does not help, restart the director and report a bug",
        )
    if not facts.probed:
        what = "not tested: the files are not those in force, or the kernel's routes decide (`egress`)"
        return Finding(name, "tables", Level.OK, what)
    return Finding(name, "tables", Level.OK, f"{facts.probed} test packets went where the tables send them")


def _reach(facts: DaemonFacts) -> Iterator[Finding]:
    if facts.silent is not None:
        what = f"the daemon does not respond on its control socket: {facts.silent}"
        yield Finding(facts.report.interface, "control", Level.ERROR, what, "restart it; see its log for the reason")
    yield from _health(facts)
    if facts.routing is not None and facts.routing.speaker != "none":
        yield from _routing(facts.report.interface, facts.routing)


def _health(facts: DaemonFacts) -> Iterator[Finding]:
    name, report = facts.report.interface, facts.report
    unreached = report.unreached()
    well = 0
    for table in report.tables:
        held = [one for one in report.held if one.table == table.name]
        down = sorted(ip for ip in table.taking if table.backends[ip].endswith("unhealthy"))
        if table.name in unreached:
            why = f"all health checks fail: {held[0].backend}: {held[0].reason}" if held else "no next hop is known"
            what = f"table {table.name}: no backend is reachable from this host: {why}"
            yield Finding(name, "health", Level.ERROR, what, _COMPARE)
        elif held:
            backends = ", ".join(f"{one.backend}: {one.reason}" for one in held)
            what = f"table {table.name}: kept in rotation by hold_share although their health checks fail: {backends}"
            yield Finding(name, "health", Level.ERROR, what, _COMPARE)
        elif down:
            yield _down(name, table, down)
        else:
            well += len(table.taking)
    if well:
        yield Finding(name, "health", Level.OK, plural(well, "healthy backend"))


def _down(name: str, table: TableSummary, down: list[str]) -> Finding:
    what = f"table {table.name}: not healthy: {', '.join(down)}"
    if len(down) < len(table.taking):
        return Finding(name, "health", Level.WARNING, what, _LOOK)
    return Finding(name, "health", Level.ERROR, f"{what}: no healthy backend is left", _LOOK)


def _routing(name: str, routing: RoutingFacts) -> Iterator[Finding]:
    faults = []
    if routing.fault is not None:
        faults.append(
            (Level.ERROR, routing.fault, "the message names what to correct; the daemon retries every second")
        )
    for peer, state in routing.sessions:
        if state != "established":
            what = f"the BGP session with {peer} is {state}"
            faults.append(
                (Level.WARNING, what, "check the router, its address, AS and password; see the speaker's log")
            )
    for prefix in routing.not_carried:
        what = f"no session carries {prefix}"
        faults.append(
            (Level.WARNING, what, "add a peer of its address family to `routing.peers`, or a next hop for it")
        )
    if routing.draining:
        faults.append((Level.WARNING, "drained: no prefix is announced", "`glbctl director announce` ends the drain"))
    elif routing.last_resort:
        what = f"{', '.join(routing.last_resort)}: announced as last resort"
        faults.append((Level.WARNING, what, "none of its backends was reachable in the last 15 s: see check `health`"))
    elif not routing.announced:
        faults.append((Level.WARNING, "no prefix is announced", "no table has a healthy backend: see check `health`"))
    yield from (Finding(name, "routing", *fault) for fault in faults)
    if not faults:
        yield Finding(name, "routing", Level.OK, f"{routing.speaker} announces {', '.join(routing.announced)}")
