"""The whole examination of a host."""

from collections.abc import Iterator, Sequence

from glb.daemon.report import Report, reports_here
from glb.doctor.director import judge_director
from glb.doctor.facts import DaemonFacts
from glb.doctor.finding import Finding, Level
from glb.doctor.gather import daemon_facts, host_facts
from glb.doctor.host import judge_host
from glb.doctor.interface import judge_interface
from glb.doctor.proxy import judge_proxy
from glb.errors import GlbError


class DoctorError(GlbError):
    """What is to be examined is not there."""


def examine(interface: str | None = None) -> list[Finding]:
    """What there is to say of this host, and of its daemons or the one of an interface.

    Raises DoctorError if no daemon has the interface.
    """
    reports = reports_here(interface)
    if interface is not None and not reports:
        raise DoctorError(
            f"no daemon has the interface {interface}: `glbctl doctor` without it tells of those there are"
        )
    findings = [*judge_host(host_facts()), *judge_daemons(reports)]
    for report in reports:
        findings += judge_daemon(daemon_facts(report))
    return findings


def judge_daemons(reports: Sequence[Report]) -> Iterator[Finding]:
    """Whether there are any. Pure."""
    if not reports:
        remedy = "`glbctl director run` or `glbctl proxy run`; if one was to run, its log says why it ended"
        yield Finding("host", "daemons", Level.WARNING, "neither a director nor a proxy is here", remedy)


def judge_daemon(facts: DaemonFacts) -> list[Finding]:
    """All checks of a daemon. Pure."""
    judge_role = judge_director if facts.report.role == "director" else judge_proxy
    return [*judge_interface(facts), *judge_role(facts)]
