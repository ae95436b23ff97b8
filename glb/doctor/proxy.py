"""What a proxy needs around it. Pure: facts in, findings out."""

from collections.abc import Iterator

from glb.doctor.facts import DaemonFacts
from glb.doctor.finding import Finding, Level

_STRICT = 1  # rp_filter


def judge_proxy(facts: DaemonFacts) -> Iterator[Finding]:
    yield _vips(facts)
    yield from _arp(facts)
    yield _rp_filter(facts)
    if facts.alive:
        yield _agent(facts)


def _vips(facts: DaemonFacts) -> Finding:
    name = facts.report.interface
    vips = sorted(str(address) for address in facts.loopback if not address.is_loopback)
    if vips:
        return Finding(name, "vip", Level.OK, f"on the loopback: {', '.join(vips)}")
    return Finding(
        name,
        "vip",
        Level.ERROR,
        "no VIP is on the loopback: the stack drops what comes out of the tunnel",
        "ip address add VIP/32 dev lo",
    )


def _arp(facts: DaemonFacts) -> Iterator[Finding]:
    """Both keep the VIPs, which are on the loopback, from being claimed in the network of the directors."""
    name = facts.report.interface
    for key, least, harm in (
        ("arp_ignore", 1, "answers ARP for the VIPs: their packets may come here without a director"),
        ("arp_announce", 2, "may name a VIP as the source of its ARP requests, from which others learn it"),
    ):
        value = facts.sysctls.get(key, 0)
        if value >= least:
            yield Finding(name, key, Level.OK, f"{key} is {value}")
        else:
            remedy = f"sysctl net.ipv4.conf.all.{key}={least}"
            yield Finding(name, key, Level.WARNING, f"{key} is {value}: this host {harm}", remedy)


def _rp_filter(facts: DaemonFacts) -> Finding:
    name = facts.report.interface
    value = facts.sysctls.get("rp_filter", 0)
    if value != _STRICT:
        return Finding(name, "rp_filter", Level.OK, f"rp_filter is {value}")
    return Finding(
        name,
        "rp_filter",
        Level.WARNING,
        "rp_filter is strict: clients' packets are dropped unless the route back to them leaves by this interface",
        f"sysctl net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{name}.rp_filter=2",
    )


def _agent(facts: DaemonFacts) -> Finding:
    name, report = facts.report.interface, facts.report
    if report.agent_trouble is not None:
        what = f"the agent does not answer, so that no drain can wait for this proxy: {report.agent_trouble}"
        remedy = "mend that, or give `agent` in proxy.conf another port or address; it tries again each second"
        return Finding(name, "agent", Level.WARNING, what, remedy)
    answers = f"answers on {', '.join(report.agent)}" if report.agent else "switched off in proxy.conf"
    return Finding(name, "agent", Level.OK, answers)
