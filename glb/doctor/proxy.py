# SPDX-License-Identifier: MIT
"""What a proxy needs around it. Pure: facts in, findings out."""

from collections.abc import Iterator

from glb.doctor.facts import DaemonFacts
from glb.doctor.finding import Finding, Level
from glb.doctor.vips import judge_vips


def judge_proxy(facts: DaemonFacts) -> Iterator[Finding]:
    yield from judge_vips(facts)
    if facts.alive:
        yield _agent(facts)


def _agent(facts: DaemonFacts) -> Finding:
    name, report = facts.report.interface, facts.report
    if report.agent_trouble is not None:
        what = f"the agent does not listen, so that no drain can wait for this proxy: {report.agent_trouble}"
        remedy = "correct that, or set `agent` in proxy.conf to another port or address; it is tried again each second"
        return Finding(name, "agent", Level.WARNING, what, remedy)
    where = f"listening on {', '.join(report.agent)}" if report.agent else "switched off in proxy.conf"
    return Finding(name, "agent", Level.OK, where)
