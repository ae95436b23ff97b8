# SPDX-License-Identifier: MIT
"""`glbctl table plan`, `apply` and `rollback`: changes of the tables, seen before they are made."""

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
from glb.ctl.connections import AgentPort, Clearance, ConnectionCheck, MayCut, Wait, clear, print_cleared
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

Source = Annotated[Path, typer.Argument(metavar="FILE", help="The tables as they are to be: their source (JSON).")]
Force = Annotated[bool, typer.Option("--force", help="Also if that cuts established connections.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Note = Annotated[str, typer.Option("--note", "-m", help="What the change is for; kept with the version.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=0,
        help="Seconds to wait: for the directors (30 if not given); with --wait, for connections (no end if not "
        "given).",
    ),
]


def plan_command(
    file: Source,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="The tables as they are, in the place of a director's."),
    ] = None,
    iface: Iface = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode",
            help="Exit status 0: nothing to do; 3: changes; 4: they cut connections; 5: they may cut older ones.",
        ),
    ] = False,
    output: Output = Format.TEXT,
) -> None:
    """Show what a change would do, and change nothing.

    The file is compared with what this host's director has loaded, by its control socket. Where no daemon runs but a
    datapath is attached, it is compared with the version in the history which that datapath holds.

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
    """Put the tables in the place of those that this host's director follows.

    Shows the plan first, and asks on a terminal. What would cut established connections is refused, and so is what may
    cut older ones while the proxies still hold any. The director replaces its table file and loads it, as a whole or
    not at all; others on this host that follow the file do so, too.

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
        int | None, typer.Argument(help="Its number in the history; without one, the last other.")
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

    A bind that was added may be taken back as long as the directors of this host have counted no packet for it.

    glbctl table rollback 3
    """
    report = running_director(iface)
    past = DirectorHistory(client_of(report, _CHANGE_SECONDS))
    kept = past.read(version) if version is not None else past.before()
    if kept.source is None:
        raise GlbError(f"version {kept.version.number} was a GLBD binary, of which only the digest is kept")
    number = kept.version.number
    question = f"Go back to version {number} of {kept.version.time}"
    change = _Change(report, question, yes, force, ConnectionCheck(may_cut, wait, timeout, agent_port, output))
    plan = request_plan(report, kept.source, f"version {number}", change.seconds)
    change.make(plan, "/v1/tables/rollback", {"version": number, **author_fields(note)})


@dataclass(frozen=True, slots=True)
class _SetAside:
    """Where what stood in the file is kept, if it was never loaded, and why it was refused, if it was."""

    path: str
    fault: str | None


@dataclass(frozen=True, slots=True)
class _Applied:
    """What the API answers to a change."""

    plan: Plan
    version: Version | None
    directors: tuple[ReloadResult, ...]
    set_aside: _SetAside | None = None


_applied = TypeAdapter(_Applied)


@dataclass(frozen=True, slots=True)
class _Change:
    """How the tables of a director are to be changed: the question on a terminal, and what the user has answered."""

    report: Report
    question: str
    yes: bool
    force: bool
    check: ConnectionCheck

    @property
    def seconds(self) -> float:
        """That the director's answers may take."""
        given = None if self.check.wait else self.check.timeout
        return _CHANGE_SECONDS if given is None else given

    def make(self, plan: Plan, path: str, body: dict[str, Any]) -> None:
        """Show the plan, have it agreed on and cleared, have the director do it, and tell what came of it.

        Raises GlbError, with nothing changed, as long as the director has not begun.
        """
        _consent(plan, self.question, self.yes, self.force, self.check.output)
        cleared: tuple[Clearance, ...] = ()
        if not self.force and not plan.cuts:  # which the director refuses
            require_agreement(table_of(self.report))
            cleared = clear(plan, binds_of(self.report), self.check)
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
    """The text of a file that is valid as far as can be told without a director. Raises ConfigError."""
    text = read_text(file)
    parse_tables(text, str(file))
    return text


def _consent(plan: Plan, question: str, yes: bool, force: bool, output: Format) -> None:
    """Show the plan, and ask on a terminal; not about what will be refused, or changes nothing."""
    asks = not yes and sys.stdin.isatty() and plan.changes and (force or not plan.cuts)
    if output is Format.TEXT:
        console.print(render_plan(plan))
    elif asks:
        errors.print(render_plan(plan))
    if asks:
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
        warn(_what_was_there(report, done.set_aside))
    if done.version is None:
        warn("the version could not be kept in the history: the director's log says why")
    if not all(outcome.reloaded for outcome in outcomes):
        raise GlbError(f"{report.table_file} is changed, but not every director has taken it over")


def _what_was_there(report: Report, aside: _SetAside) -> str:
    why = f"it was refused: {aside.fault}" if aside.fault else "no director had loaded it"
    return f"what stood in {report.table_file} is kept as {aside.path}; {why}"


def _render_done(done: _Applied, outcomes: list[ReloadResult]) -> Group:
    lines: list[RenderableType] = [f"version {done.version.number} is loaded" if done.version else "loaded"]
    for outcome in outcomes:
        text = "loaded" if outcome.reloaded else outcome.error
        lines.append(Text(f"director {outcome.interface}: {text}", style="" if outcome.reloaded else "red"))
    return Group(*lines)
