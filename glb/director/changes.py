"""Changes of the tables that are asked for: planned, refused if they cut connections, and made as a whole or not."""

import logging
from dataclasses import dataclass
from pathlib import Path

from glb.config.atomic import link_beside, replace_file
from glb.config.edit import locked_for_edit
from glb.config.errors import ConfigError
from glb.config.load import GLBD_MAGIC
from glb.config.regular import read_regular
from glb.director.controller import Controller
from glb.director.forwarding import Outcome
from glb.errors import GlbError
from glb.history.version import How, Kept, Origin, Version
from glb.table.plan import Plan, plan_change

log = logging.getLogger(__name__)

_SET_ASIDE = ".refused"


class ChangeError(GlbError):
    """A change that is refused, or could not be made; the old file and the old tables go on."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Where the content of a table file is kept that was never loaded, and so is in no history.

    fault: why it was refused; None if nothing is wrong with the tables in it: they came just now, or something else
    kept them from being loaded.
    """

    path: str
    fault: str | None


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that was made. version: under which number it is kept; None if it could not be kept, as the log says.

    set_aside: what stood in the file instead of what was loaded; None if that was the same.
    """

    plan: Plan
    version: Version | None
    directors: tuple[Outcome, ...]
    set_aside: SetAside | None


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
    outcomes, aside = _replace(controller, source.encode(), origin)
    return Applied(planned, controller.version, tuple(outcomes), aside)


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


def _replace(controller: Controller, data: bytes, origin: Origin) -> tuple[list[Outcome], SetAside | None]:
    """Replace the table file and load it; if either fails, all is as before.

    An edit by hand that was never loaded is kept beside it: nobody else may have it.
    """
    path = controller.table
    with locked_for_edit(path):
        before = _content(path)
        is_loaded = before in (None, controller.loaded.source, data)
        aside = None if is_loaded else _set_aside(path)
        _write(path, data)
        outcomes = controller.reload(origin)
        failed = [f"{outcome.interface}: {outcome.error}" for outcome in outcomes if not outcome.reloaded]
        if not failed:
            return outcomes, _told(aside, controller, before)
        _put_back(path, before)
        if aside is not None:
            aside.unlink(missing_ok=True)
    controller.reload()
    raise ChangeError("\n".join([f"{path}: not changed, since the new tables are not taken:", *failed]))


def _set_aside(path: Path) -> Path:
    try:
        return link_beside(path, _SET_ASIDE)
    except OSError as error:
        raise ChangeError(
            f"{path}: not changed, since what is in it was never loaded, and cannot be kept as {path}{_SET_ASIDE}: "
            f"{error.strerror}"
        ) from error


def _told(aside: Path | None, controller: Controller, content: bytes | None) -> SetAside | None:
    if aside is None or content is None:
        return None
    fault = _fault(controller, content)
    log.warning("%s was never loaded, and is kept as %s: %s", controller.table, aside, fault or "another was applied")
    return SetAside(str(aside), fault)


def _fault(controller: Controller, content: bytes) -> str | None:
    try:
        controller.build(content, str(controller.table))
    except GlbError as error:
        return str(error)
    return None


def _content(path: Path) -> bytes | None:
    """None if there is no file. Raises ConfigError if it cannot be read."""
    return read_regular(path) if path.exists() else None


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
