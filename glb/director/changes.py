"""Changes of the tables that are asked for: planned, refused if they cut connections, and made as a whole or not."""

from dataclasses import dataclass
from pathlib import Path

from glb.config.atomic import replace_file
from glb.config.edit import locked
from glb.config.errors import ConfigError
from glb.config.load import GLBD_MAGIC, read_file
from glb.director.controller import Controller, Outcome
from glb.errors import GlbError
from glb.history.version import How, Kept, Origin, Version
from glb.table.plan import Plan, plan_change


class ChangeError(GlbError):
    """A change that is refused, or could not be made; the old file and the old tables go on."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that was made. version: under which number it is kept; None if it could not be kept, as the log says."""

    plan: Plan
    version: Version | None
    directors: tuple[Outcome, ...]


def plan(controller: Controller, source: str, name: str) -> Plan:
    """What it would do to load a source in the place of what is loaded; `name` is its file's, for the messages.

    Raises ConfigError or TableError if it cannot be loaded.
    """
    return plan_change(controller.loaded.tables, controller.build(source.encode(), name))


def apply(controller: Controller, source: str, name: str, origin: Origin, force: bool) -> Applied:
    """Put a source in the place of the table file, and load it.

    Raises ConfigError or TableError if it cannot be loaded, ChangeError if it would cut connections and `force` is not
    given, or if the file cannot be replaced or an interface does not take the tables.
    """
    if controller.loaded.source.startswith(GLBD_MAGIC):
        raise ConfigError(
            f"{controller.table}: the director follows a GLBD binary; replace it by what `glbctl table build` makes"
        )
    planned = plan(controller, source, name)
    refusal = planned.refusal()
    if refusal is not None and not force:
        raise ChangeError(refusal)
    outcomes = _replace(controller, source.encode(), origin)
    return Applied(planned, controller.version, tuple(outcomes))


def version_before(controller: Controller) -> Kept:
    """The newest version with other tables than the file has: the loaded ones, if the file is bad or gone.

    Raises HistoryError if there is none.
    """
    return controller.history.before(_content(controller.table) or b"")


def roll_back(controller: Controller, number: int | None, origin: Origin, force: bool) -> Applied:
    """Apply an older version, by the same rules; without a number, the one before that which the file has.

    Raises HistoryError if there is none, and as `apply` does.
    """
    kept = controller.history.read(number) if number is not None else version_before(controller)
    if kept.source is None:
        raise ChangeError(f"version {kept.version.number} was a GLBD binary, of which only the digest is kept")
    note = origin.note or f"back to version {kept.version.number}"
    name = f"version {kept.version.number}"
    return apply(controller, kept.source, name, Origin(How.ROLLBACK, origin.author, note), force)


def _replace(controller: Controller, data: bytes, origin: Origin) -> list[Outcome]:
    """Replace the table file and load it; if either fails, all is as before."""
    path = controller.table
    with locked(path):
        before = _content(path)
        _write(path, data)
        outcomes = controller.reload(origin)
        failed = [f"{outcome.interface}: {outcome.error}" for outcome in outcomes if not outcome.reloaded]
        if not failed:
            return outcomes
        _put_back(path, before)
    controller.reload()
    raise ChangeError("\n".join([f"{path}: not changed, since the new tables are not taken:", *failed]))


def _content(path: Path) -> bytes | None:
    """None if there is no file. Raises ConfigError if it cannot be read."""
    return read_file(path) if path.exists() else None


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        _write(path, content)


def _write(path: Path, data: bytes) -> None:
    try:
        replace_file(path, data)
    except OSError as error:
        raise ChangeError(f"{path}: cannot be replaced: {error.strerror}") from error
