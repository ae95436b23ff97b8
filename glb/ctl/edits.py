"""One edit of a table's source: made, taken over by the directors of this host, and told."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.console import Group
from rich.text import Text

from glb.config.edit import Edit, set_backend_state
from glb.config.model import State
from glb.ctl.author import by
from glb.ctl.planning import require_harmless
from glb.ctl.takeover import Outcome, await_takeover
from glb.errors import GlbError
from glb.history.version import How

Source = Annotated[
    Path,
    typer.Argument(metavar="TABLE", help="The forwarding tables' source (JSON), or the name of a table loaded here."),
]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="The backend's address.")]
TableName = Annotated[
    str | None,
    typer.Option("--name", help="Only in the table of this name; else in each that lists the backend."),
]
Force = Annotated[bool, typer.Option("--force", help="Also if that cuts connections.")]


class Editing(Protocol):
    """One of the edits of `glb.config.edit`."""

    def __call__(self, path: Path, address: str, table: str | None, *, force: bool, dry_run: bool) -> Edit: ...


def moving_to(state: State) -> Editing:
    """The edit that sets a backend's state."""

    def edit(path: Path, address: str, table: str | None, *, force: bool, dry_run: bool) -> Edit:
        return set_backend_state(path, address, state, table, force=force, dry_run=dry_run)

    return edit


@dataclass(frozen=True, slots=True)
class Made:
    """An edit, and which directors have taken it over."""

    edit: Edit
    outcomes: tuple[Outcome, ...]

    def facts(self) -> dict[str, Any]:
        return {
            "file": str(self.edit.path),
            "changed": self.edit.changed,
            "tables": [
                {"table": c.table, "address": str(c.address), "before": c.before, "after": c.after}
                for c in self.edit.changes
            ],
            "directors": [asdict(outcome) for outcome in self.outcomes],
        }

    def render(self) -> Group:
        lines: list[Any] = [
            f"{c.table}: {c.address}: {c.before or 'not there'} -> {c.after or 'removed'}"
            + ("" if c.before != c.after else " (no change)")
            for c in self.edit.changes
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
            raise GlbError(f"{self.edit.path} is changed, but not every director has taken it over")


def make(edit: Editing, path: Path, address: str, table: str | None, *, force: bool, timeout: float) -> Made:
    """Edit the file, and let the directors take it over. timeout: seconds for that.

    Raises GlbError if that would cut connections, unless forced, and ConfigError as the edit does.
    """
    if not force:
        require_harmless(path, edit(path, address, table, force=False, dry_run=True).source)
    done = edit(path, address, table, force=force, dry_run=False)
    return Made(done, tuple(await_takeover(done.path, timeout, reason_of(done))))


def reason_of(edit: Edit) -> dict[str, str | None]:
    """What the history is to say of an edit, as the API takes it."""
    note = "; ".join(f"{c.table}: {c.address} {c.before or 'new'} -> {c.after or 'removed'}" for c in edit.changes)
    return {"how": How.BACKEND, **by(note)}
