# SPDX-License-Identifier: MIT
"""Checks of a daemon and its interface, for directors and proxies. Pure: facts in, findings out."""

from collections.abc import Iterator

from glb.doctor.facts import DaemonFacts, LinkFacts
from glb.doctor.finding import Finding, Level

# Ethtool's names of offloads that merge packets before XDP, or remove parts of them.
_MERGING = ("rx-lro", "rx-gro-hw")
_VLAN_STRIPPING = "rx-vlan-hw-parse"


def judge_interface(facts: DaemonFacts) -> Iterator[Finding]:
    """Stops at a finding that makes further checks meaningless."""
    name = facts.report.interface
    if facts.link is None:
        yield Finding(name, "interface", Level.ERROR, "the interface does not exist", "restore it, or stop the daemon")
        return
    yield _daemon(facts)
    yield _files(facts)
    yield from _doubts(facts)
    if facts.alive:
        yield _metrics(facts)
    yield _link(name, facts.link)
    yield _program(facts, facts.link)
    yield from _mode(name, facts.link)
    yield from _veth(name, facts.link)
    yield from _offloads(name, facts.link)


def _daemon(facts: DaemonFacts) -> Finding:
    name, role = facts.report.interface, facts.report.role
    daemon = f"the {role} (pid {facts.report.process.pid})"
    if facts.stopped:
        what = f"{daemon} is suspended (SIGSTOP, or a debugger); forwarding continues, but health and files are ignored"
        return Finding(name, "daemon", Level.ERROR, what, f"kill -CONT {facts.report.process.pid}")
    if facts.alive:
        return Finding(name, "daemon", Level.OK, f"{daemon} is running")
    what = f"{daemon} exited uncleanly (crash or kill -9); forwarding continues with the last tables"
    return Finding(
        name, "daemon", Level.ERROR, what, f"start it again: `glbctl {role} run`; see its log for the reason"
    )


def _files(facts: DaemonFacts) -> Finding:
    name, report = facts.report.interface, facts.report
    if report.busy is not None:
        remedy = "check whether the file systems of the files and of the state directory respond (`stat FILE`)"
        return Finding(name, "files", Level.WARNING, f"the daemon is loading: {report.busy}", remedy)
    if report.error is not None:
        remedy = "correct the field in the message; the daemon then loads the file without a restart"
        what = f"refused; forwarding continues with the previous files: {report.error}"
        return Finding(name, "files", Level.ERROR, what, remedy)
    if facts.current is None:
        what = "the files that were loaded can no longer be read"
        return Finding(name, "files", Level.ERROR, what, "restore them: the daemon needs them for a restart")
    if not facts.current:
        what = "the files have changed since they were loaded"
        remedy = "send SIGHUP to the daemon" + (
            "; a director also reloads without it" if report.role == "director" else ""
        )
        return Finding(name, "files", Level.WARNING, what, remedy)
    return Finding(name, "files", Level.OK, f"unchanged since they were loaded {report.loaded}")


def _doubts(facts: DaemonFacts) -> Iterator[Finding]:
    if facts.report.checks_trouble is not None:
        what = f"health checks cannot be made, so failures of backends are not detected: {facts.report.checks_trouble}"
        remedy = "see `prlimit --pid` of the daemon, `ss --summary` and the firewall's rules for outgoing packets"
        yield Finding(facts.report.interface, "health", Level.ERROR, what, remedy)
    for line in facts.report.warnings:
        yield Finding(facts.report.interface, "values", Level.WARNING, line, "change the field that the message names")


def _metrics(facts: DaemonFacts) -> Finding:
    name, report = facts.report.interface, facts.report
    if report.metrics_trouble is not None:
        what = f"the exporter does not listen, so Prometheus cannot scrape it: {report.metrics_trouble}"
        another = f"stop it, or set `metrics` in {report.role}.conf to another port; the daemon retries every second"
        remedy = f"`ss -ltnp` shows which process has the port: {another}"
        return Finding(name, "metrics", Level.WARNING, what, remedy)
    where = (
        f"listening on {', '.join(report.metrics)}" if report.metrics else "no listener for Prometheus is configured"
    )
    return Finding(name, "metrics", Level.OK, where)


def _link(name: str, link: LinkFacts) -> Finding:
    if link.up:
        return Finding(name, "link", Level.OK, f"up, {link.kind}, MTU {link.mtu}")
    return Finding(name, "link", Level.ERROR, "the interface is down", f"ip link set {name} up; check the cable")


def _program(facts: DaemonFacts, link: LinkFacts) -> Finding:
    name, role, pinned = facts.report.interface, facts.report.role, facts.pinned
    if facts.capture_attached:
        what = f"a capture's program (id {link.program}) replaces the {role}'s (id {pinned}) and does the same work"
        return Finding(name, "program", Level.OK, f"{what}; if no capture is running, the next capture restores it")
    if link.program is None:
        remedy = f"restart the daemon: `glbctl {role} run --iface {name} ...`"
        return Finding(name, "program", Level.ERROR, "no XDP program is attached: packets are not processed", remedy)
    if link.program != pinned and facts.attached_role is not None:
        what = f"a {facts.attached_role} of glb is attached (program {link.program}), whose pins are not visible here"
        remedy = "run `glbctl doctor` with the daemon's $GLB_PIN_DIR and in its mount namespace, such as its container"
        level = Level.WARNING if facts.attached_role == role else Level.ERROR
        return Finding(name, "program", level, what, remedy)
    if link.program != pinned:
        return Finding(
            name,
            "program",
            Level.ERROR,
            f"another tool's XDP program is attached (id {link.program})",
            f"`bpftool prog show id {link.program}` identifies it; `ip link set dev {name} xdp off` removes it",
        )
    return Finding(name, "program", Level.OK, f"the {role}'s program is attached (id {pinned})")


def _mode(name: str, link: LinkFacts) -> Iterator[Finding]:
    if link.mode == "xdpgeneric":
        yield Finding(
            name,
            "mode",
            Level.WARNING,
            f"the driver ({link.kind}) has no native XDP: generic XDP is several times slower",
            "use a network card whose driver supports XDP",
        )
    elif link.mode is not None:
        yield Finding(name, "mode", Level.OK, "native XDP, in the driver")


def _veth(name: str, link: LinkFacts) -> Iterator[Finding]:
    """A veth receives packets that its peer sends by XDP only if it runs an XDP program itself."""
    if link.peer is None:
        return
    if link.peer.has_program:
        yield Finding(name, "veth", Level.OK, f"its peer {link.peer.name} runs an XDP program")
        return
    yield Finding(
        name,
        "veth",
        Level.ERROR,
        f"its peer {link.peer.name} runs no XDP program: all packets that glb sends are lost there",
        f"`glbctl xdp-pass attach {link.peer.name}`, with --netns if it is in another network namespace",
    )


def _offloads(name: str, link: LinkFacts) -> Iterator[Finding]:
    merging = [feature for feature in _MERGING if feature in link.features]
    for feature in merging:
        yield Finding(
            name,
            "offloads",
            Level.WARNING,
            f"{feature} is on: the card merges packets, which most drivers do not support together with XDP",
            f"ethtool -K {name} {feature} off",
        )
    if _VLAN_STRIPPING in link.features and link.kind != "veth":
        yield Finding(
            name,
            "offloads",
            Level.WARNING,
            "the card strips VLAN tags before the program runs, so sent packets have no tags",
            f"ethtool -K {name} rxvlan off, if packets arrive with VLAN tags",
        )
    elif not merging:
        yield Finding(name, "offloads", Level.OK, "no offload interferes with XDP")
