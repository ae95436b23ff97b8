"""`glbctl table plan`, `apply` and `rollback`: changes of the tables, seen before they are made."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.text import Text

from glb.config.load import parse_tables, read_file, read_text
from glb.ctl.author import by
from glb.ctl.output import Format, Output, console, emit, errors, warn
from glb.ctl.past import ToldPast
from glb.ctl.plan import plan_facts, render_plan
from glb.ctl.planning import ask_for_plan, plan_here
from glb.ctl.takeover import Outcome, await_takeover, running_directors
from glb.ctl.which import Iface, client_of, last_director, running_director, table_of
from glb.daemon.report import Report
from glb.errors import GlbError
from glb.history.version import Version
from glb.table.plan import Plan

EXIT_CHANGES = 3
EXIT_CUTS = 4

Source = Annotated[Path, typer.Argument(metavar="FILE", help="The tables as they are to be: their source (JSON).")]
Force = Annotated[bool, typer.Option("--force", help="Also if that cuts established connections.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Note = Annotated[str, typer.Option("--note", "-m", help="What the change is for; kept with the version.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the directors.")]


def plan_command(
    file: Source,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="The tables as they are, in the place of a director's."),
    ] = None,
    iface: Iface = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="Exit status 0: nothing to do; 3: changes; 4: some cut connections."),
    ] = False,
    output: Output = Format.TEXT,
) -> None:
    """Show what a change would do, and change nothing.

    It is compared with what this host's director has loaded, by its control socket; where none runs, with the file
    that the last one followed.
    """
    plan = _plan(file, against, iface)
    emit(output, plan_facts(plan), render_plan(plan))
    if detailed_exitcode and plan.changes:
        raise typer.Exit(EXIT_CUTS if plan.cuts else EXIT_CHANGES)


def apply_command(
    file: Source,
    force: Force = False,
    yes: Yes = False,
    note: Note = "",
    iface: Iface = None,
    timeout: Timeout = 30,
    output: Output = Format.TEXT,
) -> None:
    """Put the tables in the place of those that this host's director follows.

    Shows the plan first, and asks on a terminal. What would cut established connections is refused. The director
    replaces its table file and loads it, as a whole or not at all; others on this host that follow the file do so, too.
    """
    source = _source(file)
    report = running_director(iface)
    _consent(ask_for_plan(report, source, str(file), timeout), "Apply", yes, force, output)
    body = {"source": source, "name": str(file), "force": force, **by(note)}
    _finish(report, client_of(report, timeout).post("/v1/tables/apply", body), timeout, output)


def rollback_command(
    version: Annotated[
        int | None, typer.Argument(help="Its number in the history; without one, the last other.")
    ] = None,
    force: Force = False,
    yes: Yes = False,
    note: Note = "",
    iface: Iface = None,
    timeout: Timeout = 30,
    output: Output = Format.TEXT,
) -> None:
    """Apply an older version of the tables, by the rules of `apply`."""
    report = running_director(iface)
    past = ToldPast(client_of(report, timeout))
    kept = past.read(version) if version is not None else past.before()
    if kept.source is None:
        raise GlbError(f"version {kept.version.number} was a GLBD binary, of which only the digest is kept")
    number = kept.version.number
    plan = ask_for_plan(report, kept.source, f"version {number}", timeout)
    _consent(plan, f"Go back to version {number} of {kept.version.time}", yes, force, output)
    body = {"version": number, "force": force, **by(note)}
    _finish(report, client_of(report, timeout).post("/v1/tables/rollback", body), timeout, output)


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
    directors: tuple[Outcome, ...]
    set_aside: _SetAside | None = None


_applied = TypeAdapter(_Applied)


def _plan(file: Path, against: Path | None, iface: str | None) -> Plan:
    if against is None and running_directors():
        return ask_for_plan(running_director(iface), _source(file), str(file))
    return plan_here(against or table_of(last_director(iface)), read_file(file), str(file))


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


def _finish(report: Report, answer: Any, timeout: float, output: Format) -> None:
    done = _applied.validate_python(answer)
    outcomes = await_takeover(table_of(report), timeout)
    facts = {
        "file": report.table_file,
        "version": asdict(done.version) if done.version else None,
        "plan": plan_facts(done.plan),
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


def _render_done(done: _Applied, outcomes: list[Outcome]) -> Group:
    lines: list[RenderableType] = [f"version {done.version.number} is loaded" if done.version else "loaded"]
    for outcome in outcomes:
        text = "loaded" if outcome.reloaded else outcome.error
        lines.append(Text(f"director {outcome.interface}: {text}", style="" if outcome.reloaded else "red"))
    return Group(*lines)
