"""The whole examination of a host."""

from glb.daemon.report import reports_here
from glb.doctor.director import judge_director
from glb.doctor.facts import DaemonFacts
from glb.doctor.finding import Finding
from glb.doctor.gather import daemon_facts, host_facts
from glb.doctor.host import judge_host
from glb.doctor.interface import judge_interface
from glb.doctor.proxy import judge_proxy


def examine(interface: str | None = None) -> list[Finding]:
    """What there is to say of this host, and of its daemons or the one of an interface."""
    findings = list(judge_host(host_facts()))
    for report in reports_here(interface):
        findings += judge_daemon(daemon_facts(report))
    return findings


def judge_daemon(facts: DaemonFacts) -> list[Finding]:
    """All checks of a daemon. Pure."""
    judge_role = judge_director if facts.report.role == "director" else judge_proxy
    return [*judge_interface(facts), *judge_role(facts)]
