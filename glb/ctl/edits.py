# SPDX-License-Identifier: MIT
"""One edit of a backend: plan it, check the proxies for connections, make it, wait for the directors to load it.

A running director that follows the table file makes the edit, in one step with its plan and its load. Without such a
director the file is edited here, and the plan is made under the file's lock.
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

from glb.config.edit import Action, Edit, StateEdit, revise
from glb.config.json_files import edit_file, load_tables, read_text
from glb.config.model import Bind
from glb.ctl import complete
from glb.ctl.connections import Clearance, ConnectionCheck, check_connections, print_cleared
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
        help="Only in this table; default: in each table that lists the backend.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Make the edit even if it cuts connections.")]


@dataclass(frozen=True, slots=True)
class BackendEdit:
    """A requested change of one backend. tables: names of the tables to edit; None: each table that lists the
    backend."""

    action: Action
    path: Path
    address: str
    tables: Collection[str] | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class EditResult:
    """An edit that was made, with its plan, the checks of the proxies, and the directors that have loaded it."""

    path: Path
    changes: tuple[StateEdit, ...]
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
            f"{c.table}: {c.address}: {c.before or 'not in the table'} -> {c.after or 'removed'}"
            + ("" if c.before != c.after else " (no change)")
            for c in self.changes
        ]
        for outcome in self.outcomes:
            if outcome.reloaded:
                lines.append(f"director {outcome.interface}: reloaded")
            else:
                lines.append(Text(f"director {outcome.interface}: {outcome.error}", style="red"))
        if not self.outcomes:
            lines.append("no director on this host follows this file; directors that load it will use the change")
        return Group(*lines)

    def require_reload(self) -> None:
        """Raises GlbError unless every director that follows the file has loaded it."""
        if not all(outcome.reloaded for outcome in self.outcomes):
            raise GlbError(f"{self.path} is changed, but not every director has loaded it")


@dataclass(frozen=True, slots=True)
class _Planned:
    """The API's answer to an edit, planned or made."""

    changes: tuple[StateEdit, ...]
    plan: Plan
    directors: tuple[ReloadResult, ...] = ()


_planned = TypeAdapter(_Planned)


def make_edit(edit: BackendEdit, check: ConnectionCheck, timeout: float) -> EditResult:
    """Make the edit, and wait until the directors have loaded it. timeout: seconds for that wait.

    The plan's findings are shown first. Raises GlbError, with nothing changed, if the edit would cut connections; if it
    may cut connections and the proxies still hold some; if a director here could not load it; or if the transition is
    not allowed.
    """
    users = directors_with(edit.path)
    return _by_director(users[0], edit, check, timeout) if users else _in_file(edit, check)


def _by_director(report: Report, edit: BackendEdit, check: ConnectionCheck, timeout: float) -> EditResult:
    client = client_of(report, timeout)
    if not edit.force:
        require_agreement(edit.path)
    body: dict[str, Any] = {
        "action": edit.action,
        "address": edit.address,
        "tables": None if edit.tables is None else list(edit.tables),
        "force": edit.force,
    }
    planned = _planned.validate_python(client.post("/v1/tables/backends/plan", body))
    cleared = _require_clearance(planned.plan, binds_of(report), edit.force, check)
    consent = _consent(planned.plan, check, cleared)
    done = _planned.validate_python(client.post("/v1/tables/backends", {**body, **consent, **author_fields("")}))
    outcomes = await_reload(edit.path, timeout)
    return EditResult(edit.path, done.changes, done.plan, cleared, tuple(outcomes))


def _consent(plan: Plan, check: ConnectionCheck, cleared: Collection[Clearance]) -> Mapping[str, Any]:
    """The API's fields of consent. `expects`: the result of the check holds only for the tables that were planned."""
    expects = plan.basis.digest if plan.basis and cleared else None
    return {"may_cut": check.may_cut or bool(cleared), "expects": expects}


def _in_file(edit: BackendEdit, check: ConnectionCheck) -> EditResult:
    if not edit.force and (left := left_behind(edit.path)):
        raise GlbError(describe_left_behind(left))
    text = read_text(edit.path)
    revised = revise(text, edit.path, edit.action, edit.address, edit.tables, force=edit.force)
    plan = plan_of_edit(revised)
    cleared = _require_clearance(plan, _all_binds(edit.path), edit.force, check)

    def still_harmless(newest: Edit) -> None:
        if newest.before != revised.before and not edit.force:
            _require_still_harmless(newest, plan, check)
        _announce(newest)

    done = edit_file(edit.path, edit.action, edit.address, edit.tables, force=edit.force, before_write=still_harmless)
    return EditResult(edit.path, done.changes, plan, cleared, ())


def _require_clearance(
    plan: Plan, binds: Collection[Bind], force: bool, check: ConnectionCheck
) -> tuple[Clearance, ...]:
    """Show the findings, refuse cuts, and check the proxies for connections that may be cut. Raises GlbError."""
    if check.output is Format.TEXT and plan.findings:
        console.print(render_findings(plan))
    if force:
        return ()
    if (refusal := plan.refusal()) is not None:
        raise GlbError(refusal)
    cleared = check_connections(plan, tuple(binds), check)
    print_cleared(cleared, check.output)
    return cleared


def _require_still_harmless(edit: Edit, seen: Plan, check: ConnectionCheck) -> None:
    """Raise GlbError if the file was changed after the plan, so that the edit cuts other connections."""
    plan = plan_of_edit(edit)
    if (refusal := plan.refusal()) is not None:
        raise GlbError(refusal)
    known = {(finding.backend, finding.binds) for finding in seen.doubts}
    if not check.may_cut and any((finding.backend, finding.binds) not in known for finding in plan.doubts):
        raise GlbError(f"{edit.path}: changed by another user after the plan; try again")


def _announce(edit: Edit) -> None:
    """Declare the author for directors that follow the file later. Without a history there is none."""
    history = History.of(edit.path)
    if not history.folder.exists():
        return
    try:
        history.declare(
            edit.source.encode(), Origin(LoadCause.BACKEND, local_author(), "; ".join(map(str, edit.changes)))
        )
    except HistoryError as error:
        warn(f"the history will not record the author of this change: {error}")


def _all_binds(path: Path) -> list[Bind]:
    return [bind for table in load_tables(path).tables for bind in table.binds]


def author_fields(note: str) -> dict[str, str | None]:
    """The API's fields about the author of a change: the user for whom root acts (sudo), and the note.

    The daemon knows other users by their connection.
    """
    return {"author": os.environ.get("SUDO_USER"), "note": note}


def local_author() -> str:
    """The name of this process's user, or of the user for whom root acts (sudo); the uid if it has no name."""
    uid = os.geteuid()
    if uid == 0 and (user := os.environ.get("SUDO_USER")):
        return user
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
