"""`glbctl backend`: edit a table's source, and see that the directors have taken it over."""

from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.console import Group
from rich.text import Text

from glb.config.edit import Edit, fill_backend, remove_backend, set_backend_state
from glb.config.model import State
from glb.ctl.author import by
from glb.ctl.output import Format, Output, emit
from glb.ctl.planning import require_harmless
from glb.ctl.takeover import Outcome, await_takeover
from glb.errors import GlbError
from glb.history.version import How

app = typer.Typer(
    help="Backends: drain them, take them out, put them in. The table's source is edited, and directors reload.",
    no_args_is_help=True,
)

Source = Annotated[Path, typer.Argument(metavar="TABLE", help="The forwarding tables' source (JSON).")]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="The backend's address.")]
TableName = Annotated[
    str | None,
    typer.Option("--name", help="Only in the table of this name; else in each that lists the backend."),
]
Force = Annotated[bool, typer.Option("--force", help="Also if that cuts connections.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the directors to reload.")]


class Editing(Protocol):
    """One of the edits of `glb.config.edit`."""

    def __call__(self, path: Path, address: str, table: str | None, *, force: bool, dry_run: bool) -> Edit: ...


def _drain(path: Path, address: str, table: str | None, *, force: bool, dry_run: bool) -> Edit:
    return set_backend_state(path, address, State.DRAINING, table, force=force, dry_run=dry_run)


def _activate(path: Path, address: str, table: str | None, *, force: bool, dry_run: bool) -> Edit:
    return set_backend_state(path, address, State.ACTIVE, table, force=force, dry_run=dry_run)


def _verb(name: str, edit: Editing, lesson: str) -> None:
    """Add a command that makes the edit."""

    def command(
        path: Source,
        address: Address,
        table: TableName = None,
        force: Force = False,
        timeout: Timeout = 30,
        output: Output = Format.TEXT,
    ) -> None:
        if not force:
            require_harmless(path, edit(path, address, table, force=False, dry_run=True).source)
        _finish(edit(path, address, table, force=force, dry_run=False), timeout, output)

    app.command(name, help=lesson)(command)


_verb(
    "drain",
    _drain,
    """Keep the backend's connections, give it no new ones: they go to the next hop of each row.""",
)
_verb(
    "activate",
    _activate,
    """Make the backend a full member of its table.""",
)
_verb(
    "fill",
    fill_backend,
    """Put a backend in, or back in: it gets new connections, its rows' old ones stay where they are.

    An address that the table does not list yet is added, with its siblings' health checks.
    """,
)
_verb(
    "remove",
    remove_backend,
    """Take the backend out of its table.

    Drain it first: one that is not draining is refused, since the connections that it still has would be cut.
    """,
)


def _finish(done: Edit, timeout: float, output: Format) -> None:
    outcomes = await_takeover(done.path, timeout, reason_of(done))
    facts = {
        "file": str(done.path),
        "changed": done.changed,
        "tables": [
            {"table": c.table, "address": str(c.address), "before": c.before, "after": c.after} for c in done.changes
        ],
        "directors": [{"interface": o.interface, "reloaded": o.reloaded, "error": o.error} for o in outcomes],
    }
    emit(output, facts, _render(done, outcomes))
    if not all(outcome.reloaded for outcome in outcomes):
        raise GlbError(f"{done.path} is changed, but not every director has taken it over")


def reason_of(edit: Edit) -> dict[str, str | None]:
    """What the history is to say of an edit, as the API takes it."""
    note = "; ".join(f"{c.table}: {c.address} {c.before or 'new'} -> {c.after or 'removed'}" for c in edit.changes)
    return {"how": How.BACKEND, **by(note)}


def _render(edit: Edit, outcomes: list[Outcome]) -> Group:
    lines: list[Any] = [
        f"{c.table}: {c.address}: {c.before or 'not there'} -> {c.after or 'removed'}"
        + ("" if c.before != c.after else " (no change)")
        for c in edit.changes
    ]
    for outcome in outcomes:
        if outcome.reloaded:
            lines.append(f"director {outcome.interface}: reloaded")
        else:
            lines.append(Text(f"director {outcome.interface}: {outcome.error}", style="red"))
    if not outcomes:
        lines.append("no director on this host uses this file; it is in force where one loads it")
    return Group(*lines)
