# SPDX-License-Identifier: MIT
"""Plans of changes: requested from a director or computed here, and shown."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.text import Text

from glb.config.bind_text import parse_bind
from glb.config.edit import Edit
from glb.config.model import Bind
from glb.ctl.output import share
from glb.ctl.targets import client_of, table_of
from glb.daemon.report import Report
from glb.datapath.inspection import attached_tables_digest
from glb.errors import ConfigError, GlbError, TableError
from glb.files import read_file
from glb.hashing.rendezvous import ROWS
from glb.history.store import History
from glb.printable import plural
from glb.table.build import load_bytes
from glb.table.digest import digest_of
from glb.table.findings import PlanFinding, PlanSeverity
from glb.table.plan import BackendPlan, Basis, Plan, PlanAction, TableBrief, TablePlan, plan_change
from glb.table.row_builder import row_builder

_ADDED, _CHANGED, _REMOVED, _KEPT = "green", "yellow", "red", "dim"
_MARKS = {
    PlanAction.ADD: ("+", _ADDED),
    PlanAction.CHANGE: ("~", _CHANGED),
    PlanAction.REMOVE: ("-", _REMOVED),
    PlanAction.KEEP: (" ", _KEPT),
}
_STYLES = {PlanSeverity.CUTS: "bold red", PlanSeverity.MAY_CUT: "yellow", PlanSeverity.NOTE: "default"}


def plan_facts(plan: Plan) -> dict[str, Any]:
    """The plan as JSON."""
    severities = {finding.severity for finding in plan.findings}
    return {
        "changes": plan.changes,
        "cuts_connections": PlanSeverity.CUTS in severities,
        "may_cut_connections": bool(severities & {PlanSeverity.CUTS, PlanSeverity.MAY_CUT}),
        **asdict(plan),
    }


def render_plan(plan: Plan) -> RenderableType:
    """The plan for people: one line for each change, the findings, a summary."""
    basis = f"compared with {plan.basis.what}" if plan.basis else None
    if not plan.changes:
        return f"no changes: equal to {plan.basis.what if plan.basis else 'the loaded tables'}"
    lines: list[RenderableType] = [Text(basis, style="dim"), ""] if basis else []
    for table in plan.added:
        lines += _brief("+", _ADDED, table)
    for changed in plan.changed:
        lines += _changed(changed)
    for table in plan.removed:
        lines += _brief("-", _REMOVED, table)
    lines.append("")
    if plan.findings:
        lines += [*_findings(plan), ""]
    return Group(*lines, _summary(plan))


def render_findings(plan: Plan) -> Group:
    """The findings about connections, the worst first."""
    return Group(*_findings(plan))


def _findings(plan: Plan) -> Iterator[RenderableType]:
    for finding in plan.findings:
        yield from _finding(finding)


def _brief(mark: str, style: str, table: TableBrief) -> Iterator[RenderableType]:
    yield Text(f"{mark} table {table.name}", style=style)
    yield from (Text(f"  {mark} bind {bind}", style=style) for bind in table.binds)
    yield from (Text(f"  {mark} backend {backend}", style=style) for backend in table.backends)


def _changed(table: TablePlan) -> Iterator[RenderableType]:
    yield Text(f"~ table {table.name}", style=_CHANGED)
    yield from (Text(f"  ~ {setting}", style=_CHANGED) for setting in table.settings)
    yield from (Text(f"  + bind {bind}", style=_ADDED) for bind in table.binds_added)
    yield from (Text(f"  - bind {bind}", style=_REMOVED) for bind in table.binds_removed)
    width = max((len(str(backend.address)) for backend in table.backends), default=0)
    yield from (_backend(backend, width) for backend in table.backends)
    yield f"  {table.rows_moved:,} of {ROWS:,} rows move: {share(table.rows_moved, ROWS)} of new connections"


def _backend(backend: BackendPlan, width: int) -> Text:
    mark, style = _MARKS[backend.action]
    what = ", ".join(filter(None, (_state(backend), *backend.changes)))
    rows = f"{backend.rows_before:,} -> {plural(backend.rows_after, 'row')}"
    moved = [f"{sign}{count:,}" for sign, count in (("+", backend.gained), ("-", backend.lost)) if count]
    tail = f"{rows} ({', '.join(moved)})" if moved else plural(backend.rows_after, "row")
    return Text(f"  {mark} backend {backend.address!s:<{width}}  {what:<20}  {tail}", style=style)


def _state(backend: BackendPlan) -> str:
    if backend.before == backend.after:
        return str(backend.after)
    return " -> ".join(str(state) for state in (backend.before, backend.after) if state is not None)


def _finding(finding: PlanFinding) -> Iterator[RenderableType]:
    yield Text(
        f"{finding.severity.upper()}  {finding.place}, {plural(finding.rows, 'row')}:", style=_STYLES[finding.severity]
    )
    yield f"  {finding.reason}"
    yield f"  instead: {finding.remedy}"


def _summary(plan: Plan) -> Text:
    counts = [(len(plan.added), "to add"), (len(plan.changed), "to change"), (len(plan.removed), "to remove")]
    tables = ", ".join(f"{count} {what}" for count, what in counts)
    severities = {finding.severity for finding in plan.findings}
    if PlanSeverity.CUTS in severities:
        return Text(f"tables: {tables}; cuts established connections", style=_STYLES[PlanSeverity.CUTS])
    if PlanSeverity.MAY_CUT in severities:
        return Text(f"tables: {tables}; may cut older connections", style=_STYLES[PlanSeverity.MAY_CUT])
    return Text(f"tables: {tables}; no established connection is cut", style="green")


PLAN_SECONDS = 60.0

_plans = TypeAdapter(Plan)


def request_plan(report: Report, source: str, name: str, timeout: float = PLAN_SECONDS) -> Plan:
    """A director's plan for loading a source. name: the file, for messages.

    Raises ControlError.
    """
    answer = client_of(report, timeout).post("/v1/tables/plan", {"source": source, "name": name})
    return _plans.validate_python(answer)


def plan_between(old: bytes, new: bytes, old_name: str, new_name: str, basis: Basis | None = None) -> Plan:
    """The plan from one file's content to another's, with the health in the files.

    Raises ConfigError or TableError.
    """
    builder = row_builder()
    return plan_change(load_bytes(old, old_name, builder), load_bytes(new, new_name, builder), basis=basis)


def plan_of_edit(edit: Edit) -> Plan:
    """The plan of an edit of a file that no director here follows. Raises ConfigError or TableError."""
    return plan_between(edit.before.encode(), edit.source.encode(), str(edit.path), str(edit.path))


def binds_of(report: Report) -> list[Bind]:
    """The loaded binds of a director, in the order of the file."""
    return [parse_bind(bind) for table in report.tables for bind in table.binds]


@dataclass(frozen=True, slots=True)
class HeldTables:
    """The source of the tables in a datapath, and where it was found."""

    source: bytes
    basis: Basis


def tables_held_by(report: Report) -> HeldTables:
    """The tables in the datapath of a director without a daemon.

    Raises GlbError if none is attached, or its tables are neither in the history nor in the file.
    """
    digest = attached_tables_digest(report.interface)
    instead = "compare with a file by --against FILE"
    if digest is None:
        raise GlbError(
            f"no director runs on this host, and none is attached to {report.interface}: no tables are in force; "
            f"{instead}"
        )
    held = _version(table_of(report), digest) or _file(table_of(report), digest)
    if held is None:
        raise GlbError(
            f"no director runs on this host; the tables in the datapath of {report.interface} "
            f"({digest[:12]}) are neither in the history of {report.table_file} nor in that file; {instead}"
        )
    where = f"in the datapath of {report.interface}; no daemon runs, so health is taken from the files"
    return HeldTables(held.source, Basis(f"{held.basis.what}, {where}", digest))


def _version(table: Path, digest: str) -> HeldTables | None:
    """The newest version with these tables and a source."""
    history = History.of(table)
    for version in history.listing().versions:
        source = history.read(version.number).source if version.digest == digest else None
        if source is not None:
            what = f"version {version.number} of the history ({version.how} by {version.author}, {version.time})"
            return HeldTables(source.encode(), Basis(what, digest))
    return None


def _file(table: Path, digest: str) -> HeldTables | None:
    try:
        source = read_file(table)
        if digest_of(source, str(table)) == digest:
            return HeldTables(source, Basis(f"{table}", digest))
    except (ConfigError, TableError):
        pass
    return None
