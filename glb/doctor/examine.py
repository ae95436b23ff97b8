# SPDX-License-Identifier: MIT
"""The examination of a host: facts are gathered, then checked."""

import socket
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from glb.config.model import Bind
from glb.daemon.report import Report, reports_here
from glb.datapath.pins import attached_interfaces
from glb.doctor.director import judge_director
from glb.doctor.facts import DaemonFacts
from glb.doctor.finding import Finding, Level
from glb.doctor.gather import daemon_facts, host_facts
from glb.doctor.host import judge_host
from glb.doctor.interface import judge_interface
from glb.doctor.proxy import judge_proxy
from glb.errors import DoctorError, GlbError, ReportError
from glb.table.table_files import load_built


def examine(interface: str | None = None, table: Path | None = None) -> list[Finding]:
    """The findings about this host, and about its daemons or the one of an interface.

    table: the forwarding tables that a proxy has to serve; None: those of a director of this host, if there is one.
    Raises DoctorError if no daemon has the interface, ConfigError or TableError if the tables cannot be read.
    """
    try:
        reports = reports_here(interface)
    except ReportError as error:
        return [*judge_host(host_facts()), _unreadable(error)]
    if interface is not None and not reports:
        raise DoctorError(f"no daemon has the interface {interface}: `glbctl doctor` without it examines all")
    binds = [bind for found in load_built(table) for bind in found.binds] if table else _binds_of_directors(reports)
    pinned = [name for name in attached_interfaces() if interface in (None, name)]
    here = {name for _, name in socket.if_nameindex()}
    findings = [*judge_host(host_facts()), *judge_daemons(reports, [name for name in pinned if name in here])]
    for report in reports:
        findings += judge_daemon(daemon_facts(report, binds))
    return findings


def judge_daemons(reports: Sequence[Report], pinned: Collection[str]) -> Iterator[Finding]:
    """Whether daemons exist, one for each datapath. pinned: the interfaces with pins of glb. Pure."""
    for name in sorted(set(pinned) - {report.interface for report in reports}):
        what = f"glb's datapath is pinned for {name}, but no daemon has a status file: health and files are ignored"
        remedy = f"start the daemon with `--iface {name}`: it adopts the datapath, or writes the file again"
        yield Finding(name, "daemon", Level.ERROR, what, remedy)
    if not reports and not pinned:
        remedy = "start `glbctl director run` or `glbctl proxy run`; the log of a daemon that exited has the reason"
        yield Finding("host", "daemons", Level.WARNING, "no director or proxy is running here", remedy)


def judge_daemon(facts: DaemonFacts) -> list[Finding]:
    """All checks of a daemon. Pure."""
    judge_role = judge_director if facts.report.role == "director" else judge_proxy
    return [*judge_interface(facts), *judge_role(facts)]


def _unreadable(error: ReportError) -> Finding:
    remedy = "remove the file: a running daemon writes it again; start the others"
    return Finding("host", "daemons", Level.ERROR, f"a daemon's status cannot be read: {error}", remedy)


def _binds_of_directors(reports: Sequence[Report]) -> list[Bind]:
    """The binds of this host's directors whose tables can be read; another finding reports the others."""
    files = {Path(report.table_file) for report in reports if report.role == "director" and report.table_file}
    binds: list[Bind] = []
    for file in sorted(files):
        try:
            binds += [bind for found in load_built(file) for bind in found.binds]
        except GlbError:
            continue
    return binds
