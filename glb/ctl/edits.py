# SPDX-License-Identifier: MIT
"""One edit of a backend: planned, cleared with the proxies, made, taken over by the directors of this host, and told.

Where a director runs that follows the table file, it makes the edit, in one step with its plan and its load. Elsewhere
the file is edited here, and the plan is made under the file's lock.
"""

import os
import pwd
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Group
from rich.text import Text

from glb.config.edit import Action, Edit, StateChange, revise
from glb.config.json_files import edit_file, load_tables, read_text
from glb.config.model import Bind
from glb.ctl import complete
from glb.ctl.connections import Clearance, ConnectionCheck, clear, print_cleared
from glb.ctl.output import Format, console, warn
from glb.ctl.plan import binds_of, plan_of_edit, render_findings
from glb.ctl.reload import ReloadResult, await_reload, require_agreement
from glb.ctl.targets import client_of, directors_with
from glb.daemon.report import Report
from glb.director.local_directors import describe_left_behind, left_behind
from glb.errors import GlbError, HistoryError
from glb.history.store import History
from glb.history.version import LoadCause, Origin
from glb.table.plan import Plan

Source = Annotated[
    Path,
    typer.Argument(
        metavar="TABLE",
        autocompletion=complete.tables_and_files,
        help="The forwarding tables' source (JSON), or the name of a table loaded here.",
    ),
]
Address = Annotated[
    str, typer.Argument(metavar="ADDRESS", autocompletion=complete.backends, help="The backend's address.")
]
TableName = Annotated[
    str | None,
    typer.Option(
        "--name",
        autocompletion=complete.tables,
        help="Only in the table of this name; else in each that lists the backend.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Also if that cuts connections.")]


@dataclass(frozen=True, slots=True)
class BackendEdit:
    """What is to become of one backend. tables: the names of those in which; None: each that lists it."""

    action: Action
    path: Path
    address: str
    tables: Collection[str] | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class EditResult:
    """An edit that was made: what changed, what was planned and found out of it, and which directors have it."""

    path: Path
    changes: tuple[StateChange, ...]
    plan: Plan
    cleared: tuple[Clearance, ...]
    outcomes: tuple[ReloadResult, ...]

    @property
    def changed(self) -> bool:
        return any(change.before != change.after for change in self.changes)

    def facts(self) -> dict[str, Any]:
        return {
            "file": str(self.path),
            "changed": self.changed,
            "tables": [
                {"table": c.table, "address": str(c.address), "before": c.before, "after": c.after}
                for c in self.changes
            ],
            "findings": [asdict(finding) for finding in self.plan.findings],
            "cleared": [each.facts() for each in self.cleared],
            "directors": [asdict(outcome) for outcome in self.outcomes],
        }

    def render(self) -> Group:
        lines: list[Any] = [
            f"{c.table}: {c.address}: {c.before or 'not there'} -> {c.after or 'removed'}"
            + ("" if c.before != c.after else " (no change)")
            for c in self.changes
        ]
        for outcome in self.outcomes:
            if outcome.reloaded:
                lines.append(f"director {outcome.interface}: reloaded")
            else:
                lines.append(Text(f"director {outcome.interface}: {outcome.error}", style="red"))
        if not self.outcomes:
            lines.append("no director on this host uses this file; it is in force where one loads it")
        return Group(*lines)

    def require_takeover(self) -> None:
        """Raises GlbError unless every director that follows the file has it as it is now."""
        if not all(outcome.reloaded for outcome in self.outcomes):
            raise GlbError(f"{self.path} is changed, but not every director has taken it over")


@dataclass(frozen=True, slots=True)
class _Planned:
    """What the API answers to a wish that is planned, or fulfilled."""

    changes: tuple[StateChange, ...]
    plan: Plan
    directors: tuple[ReloadResult, ...] = ()


_planned = TypeAdapter(_Planned)


def make_edit(wish: BackendEdit, check: ConnectionCheck, timeout: float) -> EditResult:
    """Make the edit, and let the directors take it over. timeout: seconds for that.

    What the plan finds is shown first. Raises GlbError, with nothing changed, if it would cut connections, or may do so
    and the proxies still hold some; if a director here would not follow; and for an edit that is not legal.
    """
    users = directors_with(wish.path)
    return _by_director(users[0], wish, check, timeout) if users else _in_file(wish, check)


def _by_director(report: Report, wish: BackendEdit, check: ConnectionCheck, timeout: float) -> EditResult:
    client = client_of(report, timeout)
    if not wish.force:
        require_agreement(wish.path)
    body: dict[str, Any] = {
        "action": wish.action,
        "address": wish.address,
        "tables": None if wish.tables is None else list(wish.tables),
        "force": wish.force,
    }
    planned = _planned.validate_python(client.post("/v1/tables/backends/plan", body))
    cleared = _require_clearance(planned.plan, binds_of(report), wish.force, check)
    consent = _consent(planned.plan, check, cleared)
    done = _planned.validate_python(client.post("/v1/tables/backends", {**body, **consent, **author_fields("")}))
    outcomes = await_reload(wish.path, timeout)
    return EditResult(wish.path, done.changes, done.plan, cleared, tuple(outcomes))


def _consent(plan: Plan, check: ConnectionCheck, cleared: Collection[Clearance]) -> Mapping[str, Any]:
    """That the proxies hold nothing was found out for the tables which the plan began with, and for no others."""
    expects = plan.basis.digest if plan.basis and cleared else None
    return {"may_cut": check.may_cut or bool(cleared), "expects": expects}


def _in_file(wish: BackendEdit, check: ConnectionCheck) -> EditResult:
    if not wish.force and (left := left_behind(wish.path)):
        raise GlbError(describe_left_behind(left))
    text = read_text(wish.path)
    edit = revise(text, wish.path, wish.action, wish.address, wish.tables, force=wish.force)
    plan = plan_of_edit(edit)
    cleared = _require_clearance(plan, _all_binds(wish.path), wish.force, check)

    def still_harmless(newest: Edit) -> None:
        if newest.before != edit.before and not wish.force:
            _require_still_harmless(newest, plan, check)
        _announce(newest)

    done = edit_file(wish.path, wish.action, wish.address, wish.tables, force=wish.force, before_write=still_harmless)
    return EditResult(wish.path, done.changes, plan, cleared, ())


def _require_clearance(
    plan: Plan, binds: Collection[Bind], force: bool, check: ConnectionCheck
) -> tuple[Clearance, ...]:
    """Show what was found, refuse what cuts, and have the rest cleared by the proxies. Raises GlbError."""
    if check.output is Format.TEXT and plan.findings:
        console.print(render_findings(plan))
    if force:
        return ()
    if (refusal := plan.refusal()) is not None:
        raise GlbError(refusal)
    cleared = clear(plan, tuple(binds), check)
    print_cleared(cleared, check.output)
    return cleared


def _require_still_harmless(edit: Edit, seen: Plan, check: ConnectionCheck) -> None:
    """Raise GlbError if the file was changed after the plan, so that the edit cuts what was not looked at."""
    plan = plan_of_edit(edit)
    if (refusal := plan.refusal()) is not None:
        raise GlbError(refusal)
    known = {(finding.backend, finding.binds) for finding in seen.doubts}
    if not check.may_cut and any((finding.backend, finding.binds) not in known for finding in plan.doubts):
        raise GlbError(f"{edit.path}: changed by somebody else after the plan; try again")


def _announce(edit: Edit) -> None:
    """Let a director that follows the file later know whose edit it was; where none ever ran, nobody needs to."""
    history = History.of(edit.path)
    if not history.folder.exists():
        return
    try:
        history.declare(
            edit.source.encode(), Origin(LoadCause.BACKEND, local_author(), "; ".join(map(str, edit.changes)))
        )
    except HistoryError as error:
        warn(f"the history will not know whose change this is: {error}")


def _all_binds(path: Path) -> list[Bind]:
    return [bind for table in load_tables(path).tables for bind in table.binds]


def author_fields(note: str) -> dict[str, str | None]:
    """What the API takes about a change's author: for whom root acts, as sudo tells it, and what the change is for.

    Who is not root is known to the daemon by the connection.
    """
    return {"author": os.environ.get("SUDO_USER"), "note": note}


def local_author() -> str:
    """The name of the user of this process, or of the one for whom root acts; the number of one without a name."""
    uid = os.geteuid()
    if uid == 0 and (user := os.environ.get("SUDO_USER")):
        return user
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
