# SPDX-License-Identifier: MIT
"""`glbctl table plan`, `apply` and `rollback`: changes of the tables that are planned before they are made."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.text import Text

from glb.config.json_files import read_text
from glb.config.model import AGENT_PORT
from glb.config.parse import parse_tables
from glb.ctl.connections import AgentPort, Clearance, ConnectionCheck, MayCut, Wait, check_connections, print_cleared
from glb.ctl.edits import author_fields
from glb.ctl.history import DirectorHistory
from glb.ctl.output import Format, Output, console, emit, errors, warn
from glb.ctl.plan import binds_of, plan_between, plan_facts, render_plan, request_plan, tables_held_by
from glb.ctl.reload import ReloadResult, await_reload, require_agreement
from glb.ctl.targets import Iface, client_of, last_director, running_director, table_of
from glb.daemon.report import Report
from glb.errors import GlbError
from glb.files import read_file
from glb.history.version import Version
from glb.table.plan import Basis, Plan

EXIT_CHANGES = 3
EXIT_CUTS = 4
EXIT_MAY_CUT = 5
_CHANGE_SECONDS = 30.0

Source = Annotated[Path, typer.Argument(metavar="FILE", help="The new tables (JSON).")]
Force = Annotated[bool, typer.Option("--force", help="Make the change even if it cuts established connections.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not prompt for confirmation.")]
Note = Annotated[str, typer.Option("--note", "-m", help="The purpose of the change; recorded with the version.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=0,
        help="Seconds to wait: for the directors (default 30); with --wait, for connections (default: no limit).",
    ),
]


def plan_command(
    file: Source,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="The old tables, instead of those of a director."),
    ] = None,
    iface: Iface = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode",
            help="Exit status 0: no changes; 3: changes; 4: changes that cut connections; 5: that may cut older ones.",
        ),
    ] = False,
    output: Output = Format.TEXT,
) -> None:
    """Show the effects of a change, without making it.

    The file is compared with the tables that this host's director has loaded. If no daemon runs but a datapath is
    attached, the file is compared with the version in the history that the datapath holds.

    glbctl table plan new.json
    """
    plan = _plan(file, against, iface)
    emit(output, plan_facts(plan), render_plan(plan))
    if detailed_exitcode and plan.changes:
        raise typer.Exit(EXIT_CUTS if plan.cuts else EXIT_MAY_CUT if plan.doubts else EXIT_CHANGES)


def apply_command(
    file: Source,
    force: Force = False,
    yes: Yes = False,
    note: Note = "",
    iface: Iface = None,
    wait: Wait = False,
    timeout: Timeout = None,
    agent_port: AgentPort = AGENT_PORT,
    may_cut: MayCut = False,
    output: Output = Format.TEXT,
) -> None:
    """Replace the tables that this host's director follows.

    Shows the plan and, on a terminal, prompts for confirmation. A change that would cut established connections is
    refused; so is one that may cut older connections while the proxies still hold any. The director replaces its table
    file and loads it, completely or not at all; other directors on this host that follow the file load it, too.

    glbctl table apply new.json --note "a new disk in proxy1"
    """
    source = _source(file)
    change = _Change(
        running_director(iface), "Apply", yes, force, ConnectionCheck(may_cut, wait, timeout, agent_port, output)
    )
    plan = request_plan(change.report, source, str(file), change.seconds)
    change.make(plan, "/v1/tables/apply", {"source": source, "name": str(file), **author_fields(note)})


def rollback_command(
    version: Annotated[
        int | None, typer.Argument(help="The version's number; default: the last version with other tables.")
    ] = None,
    force: Force = False,
    yes: Yes = False,
    note: Note = "",
    iface: Iface = None,
    wait: Wait = False,
    timeout: Timeout = None,
    agent_port: AgentPort = AGENT_PORT,
    may_cut: MayCut = False,
    output: Output = Format.TEXT,
) -> None:
    """Apply an older version of the tables, by the rules of `apply`.

    A bind that was added can be rolled back as long as the directors of this host have counted no packet for it.

    glbctl table rollback 3
    """
    report = running_director(iface)
    past = DirectorHistory(client_of(report, _CHANGE_SECONDS))
    kept = past.read(version) if version is not None else past.before()
    if kept.source is None:
        raise GlbError(f"version {kept.version.number} was a GLBD binary, for which only the digest is stored")
    number = kept.version.number
    question = f"Go back to version {number} of {kept.version.time}"
    change = _Change(report, question, yes, force, ConnectionCheck(may_cut, wait, timeout, agent_port, output))
    plan = request_plan(report, kept.source, f"version {number}", change.seconds)
    change.make(plan, "/v1/tables/rollback", {"version": number, **author_fields(note)})


@dataclass(frozen=True, slots=True)
class _SetAside:
    """The copy of file content that was never loaded. fault: why it was refused, if it was."""

    path: str
    fault: str | None


@dataclass(frozen=True, slots=True)
class _Applied:
    """The API's answer to a change."""

    plan: Plan
    version: Version | None
    directors: tuple[ReloadResult, ...]
    set_aside: _SetAside | None = None


_applied = TypeAdapter(_Applied)


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of a director's tables. question: the prompt on a terminal."""

    report: Report
    question: str
    yes: bool
    force: bool
    check: ConnectionCheck

    @property
    def seconds(self) -> float:
        """The time limit of the director's answers."""
        given = None if self.check.wait else self.check.timeout
        return _CHANGE_SECONDS if given is None else given

    def make(self, plan: Plan, path: str, body: dict[str, Any]) -> None:
        """Show the plan, get the user's consent, check the proxies, make the change, and print the result.

        Until the request to the director, a GlbError means that nothing was changed.
        """
        _consent(plan, self.question, self.yes, self.force, self.check.output)
        cleared: tuple[Clearance, ...] = ()
        if not self.force and not plan.cuts:  # otherwise the director refuses
            require_agreement(table_of(self.report))
            cleared = check_connections(plan, binds_of(self.report), self.check)
            print_cleared(cleared, self.check.output)
        consent = {
            "force": self.force,
            "may_cut": self.check.may_cut or bool(cleared),
            "expects": plan.basis.digest if plan.basis else None,
        }
        answer = client_of(self.report, self.seconds).post(path, {**body, **consent})
        _finish(self.report, answer, cleared, self.seconds, self.check.output)


def _plan(file: Path, against: Path | None, iface: str | None) -> Plan:
    if against is not None:
        old, basis = read_file(against), Basis(str(against), "")
        return plan_between(old, read_file(file), str(against), str(file), basis)
    report = last_director(iface)
    if report.process.is_alive():
        return request_plan(report, _source(file), str(file))
    held = tables_held_by(report)
    return plan_between(held.source, read_file(file), held.basis.what, str(file), held.basis)


def _source(file: Path) -> str:
    """The text of a valid file, as far as can be checked without a director. Raises ConfigError."""
    text = read_text(file)
    parse_tables(text, str(file))
    return text


def _consent(plan: Plan, question: str, yes: bool, force: bool, output: Format) -> None:
    """Show the plan. On a terminal, prompt for consent unless the change will be refused or is empty."""
    prompts = not yes and sys.stdin.isatty() and plan.changes and (force or not plan.cuts)
    if output is Format.TEXT:
        console.print(render_plan(plan))
    elif prompts:
        errors.print(render_plan(plan))
    if prompts:
        typer.confirm(f"{question}?", abort=True, err=True)


def _finish(report: Report, answer: Any, cleared: tuple[Clearance, ...], timeout: float, output: Format) -> None:
    done = _applied.validate_python(answer)
    outcomes = await_reload(table_of(report), timeout)
    facts = {
        "file": report.table_file,
        "version": asdict(done.version) if done.version else None,
        "plan": plan_facts(done.plan),
        "cleared": [each.facts() for each in cleared],
        "directors": [asdict(outcome) for outcome in outcomes],
        "set_aside": asdict(done.set_aside) if done.set_aside else None,
    }
    emit(output, facts, _render_done(done, outcomes))
    if done.set_aside is not None:
        warn(_describe_set_aside(report, done.set_aside))
    if done.version is None:
        warn("the version could not be saved in the history; see the director's log")
    if not all(outcome.reloaded for outcome in outcomes):
        raise GlbError(f"{report.table_file} is changed, but not every director has loaded it")


def _describe_set_aside(report: Report, aside: _SetAside) -> str:
    why = f"it was refused: {aside.fault}" if aside.fault else "no director had loaded it"
    return f"the previous content of {report.table_file} is kept as {aside.path}; {why}"


def _render_done(done: _Applied, outcomes: list[ReloadResult]) -> Group:
    lines: list[RenderableType] = [f"version {done.version.number} is loaded" if done.version else "loaded"]
    for outcome in outcomes:
        text = "loaded" if outcome.reloaded else outcome.error
        lines.append(Text(f"director {outcome.interface}: {text}", style="" if outcome.reloaded else "red"))
    return Group(*lines)
