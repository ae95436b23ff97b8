# SPDX-License-Identifier: MIT
"""Whether a director reaches its backends, and announces its VIPs. Pure: facts in, findings out."""

from collections.abc import Iterator

from glb.daemon.report import TableSummary
from glb.doctor.facts import DaemonFacts, RoutingFacts
from glb.doctor.finding import Finding, Level

_LOOK = "`glbctl backend list` shows what each check found"
_COMPARE = (
    "check routes, firewall and VLAN from this host to the backends; if the other directors report the same, check the"
    f" backends; {_LOOK}"
)


def judge_reach(facts: DaemonFacts) -> Iterator[Finding]:
    if facts.silent is not None:
        what = f"the daemon does not answer on its control socket: {facts.silent}"
        yield Finding(facts.report.interface, "control", Level.ERROR, what, "restart it; its log may show why")
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
            what = f"table {table.name}: no backend can be reached from this host: {why}"
            yield Finding(name, "health", Level.ERROR, what, _COMPARE)
        elif held:
            backends = ", ".join(f"{one.backend}: {one.reason}" for one in held)
            what = f"table {table.name}: held in rotation although their health checks fail: {backends}"
            yield Finding(name, "health", Level.ERROR, what, _COMPARE)
        elif down:
            yield _down(name, table, down)
        else:
            well += len(table.taking)
    if well:
        yield Finding(name, "health", Level.OK, f"{well} backends are healthy")


def _down(name: str, table: TableSummary, down: list[str]) -> Finding:
    what = f"table {table.name}: not healthy: {', '.join(down)}"
    if len(down) < len(table.taking):
        return Finding(name, "health", Level.WARNING, what, _LOOK)
    return Finding(name, "health", Level.ERROR, f"{what}: none is left", _LOOK)


def _routing(name: str, routing: RoutingFacts) -> Iterator[Finding]:
    faults = []
    if routing.fault is not None:
        faults.append((Level.ERROR, routing.fault, "the message names what to correct; it is tried again each second"))
    for peer, state in routing.sessions:
        if state != "established":
            what = f"the BGP session with {peer} is {state}"
            faults.append((Level.WARNING, what, "check the router, its address, AS and password; the speaker's log"))
    for prefix in routing.not_carried:
        what = f"no session carries {prefix}"
        faults.append((Level.WARNING, what, "add a peer of its family to `routing.peers`, or a next hop for it"))
    if routing.draining:
        faults.append((Level.WARNING, "drained: announces nothing", "`glbctl director announce` ends the drain"))
    elif routing.last_resort:
        what = f"{', '.join(routing.last_resort)}: announced as a last resort"
        faults.append((Level.WARNING, what, "no backend was reached behind it in the last 15 s: see check `health`"))
    elif not routing.announced:
        faults.append((Level.WARNING, "announces nothing", "no table has a healthy backend: see check `health`"))
    yield from (Finding(name, "routing", *fault) for fault in faults)
    if not faults:
        yield Finding(name, "routing", Level.OK, f"{routing.speaker} announces {', '.join(routing.announced)}")
