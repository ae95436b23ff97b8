# SPDX-License-Identifier: MIT
"""Changes of the tables: planned, refused if they may cut connections, and made atomically.

From the plan to the load of the new tables, a lock keeps others from changing the file: this daemon, another daemon
that follows the same file, and `glbctl` without a daemon.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from glb.config.edit import Action, StateEdit, revise
from glb.config.json_files import locked_for_edit
from glb.config.parse import GLBD_MAGIC, decode_text
from glb.director.controller import Controller
from glb.director.forwarding import LoadResult
from glb.director.local_directors import describe_left_behind, left_behind, unmet_binds
from glb.errors import ChangeError, ConfigError, GlbError, HistoryError
from glb.files import link_beside, read_regular, replace_file
from glb.history.version import LoadCause, Origin, Version, VersionContent
from glb.table.plan import Basis, Plan, plan_change

log = logging.getLogger(__name__)

_SET_ASIDE = ".refused"


@dataclass(frozen=True, slots=True)
class Consent:
    """The effects of a change that the caller accepts.

    force: the change cuts connections, or not all directors follow. may_cut: the change may cut older connections; the
    caller knows that there are none. expects: the digest of the tables that the caller's plan is based on; if others
    are loaded, the change is refused.
    """

    force: bool = False
    may_cut: bool = False
    expects: str | None = None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A copy of a table file that was never loaded, and so is not in the history.

    fault: the error in the file; None if its tables are valid: it was written just now, or could not be loaded for
    another reason.
    """

    path: str
    fault: str | None


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """A change that was made. version: its version; None if it could not be recorded (see the log).

    set_aside: a copy of the file before the change, if it was not what was loaded; otherwise None.
    """

    plan: Plan
    version: Version | None
    directors: tuple[LoadResult, ...]
    set_aside: SetAside | None


@dataclass(frozen=True, slots=True)
class BackendAction:
    """An action on one backend. tables: the names of the tables; None: each table that lists the backend."""

    action: Action
    address: str
    tables: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """The state changes that an action would make, and their effects."""

    changes: tuple[StateEdit, ...]
    plan: Plan


@dataclass(frozen=True, slots=True)
class MadeChange:
    """An action that was carried out. directors: empty if there was nothing to change."""

    changes: tuple[StateEdit, ...]
    plan: Plan
    version: Version | None
    directors: tuple[LoadResult, ...]


def plan(controller: Controller, source: str, name: str) -> Plan:
    """The effects of loading a source in place of the present tables. name: its file's name, for messages.

    Raises ConfigError or TableError if it cannot be loaded.
    """
    new = controller.build(source.encode(), name)
    loaded = controller.loaded
    interfaces = ", ".join(director.interface for director in controller.forwarding.directors)
    basis = Basis(f"the tables that the director of {interfaces} has loaded", loaded.tables_digest)
    return plan_change(loaded.tables, new, unmet_binds(controller.table), basis)


def apply(controller: Controller, source: str, name: str, origin: Origin, consent: Consent) -> AppliedChange:
    """Replace the table file by a source, and load it.

    Raises ConfigError or TableError if it cannot be loaded; ChangeError if the consent does not cover its effects, the
    file cannot be replaced, or an interface refuses the tables.
    """
    _require_source(controller)
    with locked_for_edit(controller.table):
        _catch_up(controller)
        planned = plan(controller, source, name)
        _require_consent(controller, planned, consent)
        results, aside = _replace(controller, source.encode(), origin)
        return AppliedChange(planned, controller.version, tuple(results), aside)


def version_before(controller: Controller) -> VersionContent:
    """The newest version whose tables differ from the file; the loaded tables if the file is invalid or missing.

    Raises HistoryError if there is none.
    """
    return controller.history.before(_content(controller.table) or b"")


def roll_back(controller: Controller, number: int | None, origin: Origin, consent: Consent) -> AppliedChange:
    """Apply an earlier version, by the same rules. number: None for the version before that of the file.

    Raises HistoryError if there is none, and the errors of `apply`.
    """
    kept = controller.history.read(number) if number is not None else version_before(controller)
    if kept.source is None:
        raise ChangeError(f"version {kept.version.number} was a GLBD binary, of which only the digest is kept")
    note = origin.note or f"back to version {kept.version.number}"
    name = f"version {kept.version.number}"
    return apply(controller, kept.source, name, Origin(LoadCause.ROLLBACK, origin.author, note), consent)


def plan_backend(controller: Controller, wanted: BackendAction, force: bool) -> PlannedChange:
    """The effects of an action. force: also if the transition is not legal, or not all directors follow.

    Raises ConfigError or TableError; ChangeError if a director on this host would not follow.
    """
    if not force:
        _require_followers(controller)
    edit = revise(_loaded_text(controller), controller.table, wanted.action, wanted.address, wanted.tables, force=force)
    return PlannedChange(edit.changes, plan(controller, edit.source, str(controller.table)))


def change_backend(controller: Controller, wanted: BackendAction, origin: Origin, consent: Consent) -> MadeChange:
    """Drain, activate, fill, deactivate or remove one backend: edit the table file, and load it.

    Raises ConfigError if the transition is not legal or the file is not what is loaded, and the errors of `apply`.
    """
    _require_source(controller)
    path = controller.table
    with locked_for_edit(path):
        _catch_up(controller)
        edit = revise(_loaded_text(controller), path, wanted.action, wanted.address, wanted.tables, force=consent.force)
        planned = plan(controller, edit.source, str(path))
        _require_consent(controller, planned, consent)
        if not edit.changed:
            return MadeChange(edit.changes, planned, controller.version, ())
        what = "; ".join(map(str, edit.changes))
        note = f"{what}: {origin.note}" if origin.note else what
        results, _ = _replace(controller, edit.source.encode(), replace(origin, how=LoadCause.BACKEND, note=note))
        return MadeChange(edit.changes, planned, controller.version, tuple(results))


def _require_source(controller: Controller) -> None:
    if controller.loaded.source.startswith(GLBD_MAGIC):
        raise ConfigError(
            f"{controller.table}: the director follows a GLBD binary; replace it with output of `glbctl table build`"
        )


def _catch_up(controller: Controller) -> None:
    """Load a recent edit of the file, so that the plan is based on it."""
    controller.reload_if_changed()


def _loaded_text(controller: Controller) -> str:
    """The text of the file, if it is what is loaded. Raises ConfigError if it is not, with the error in the file."""
    text = decode_text(read_regular(controller.table), str(controller.table))
    if text.encode() != controller.loaded.source:
        controller.build(text.encode(), str(controller.table))
        raise ConfigError(
            f"{controller.table}: the file is not what is loaded, and is not changed; `glbctl director status` says "
            "why; `glbctl table rollback` restores what is loaded"
        )
    return text


def _require_consent(controller: Controller, planned: Plan, consent: Consent) -> None:
    if consent.expects not in (None, controller.loaded.tables_digest):
        latest = controller.version
        whose = f" (version {latest.number}: {latest.how} by {latest.author})" if latest else ""
        raise ChangeError(f"{controller.table}: the tables were changed after the plan{whose}; plan again")
    if consent.force:
        return
    _require_followers(controller)
    refusal = planned.refusal() or (None if consent.may_cut else planned.doubt())
    if refusal is not None:
        raise ChangeError(refusal)


def _require_followers(controller: Controller) -> None:
    """Raise ChangeError if a director of this host has no daemon that would load the new tables."""
    if left := left_behind(controller.table):
        raise ChangeError(describe_left_behind(left))


def _replace(controller: Controller, data: bytes, origin: Origin) -> tuple[list[LoadResult], SetAside | None]:
    """Replace the table file and load it; if either fails, restore the state before.

    An edit by hand that was never loaded is kept beside the file, since there may be no other copy.
    """
    path = controller.table
    before = _content(path)
    is_loaded = before in (None, controller.loaded.source, data)
    aside = None if is_loaded else _set_aside(path)
    _declare(controller, data, origin)
    _write(path, data)
    results = controller.reload(origin, whole=True)
    failed = [f"{result.interface}: {result.error}" for result in results if not result.reloaded]
    if not failed:
        return results, _set_aside_of(aside, controller, before)
    _declare(controller, before or b"", replace(origin, note=f"reverted: {failed[0]}"))
    _put_back(path, before)
    if aside is not None:
        aside.unlink(missing_ok=True)
    controller.reload()
    raise ChangeError("\n".join([f"{path}: not changed, since the new tables were refused:", *failed]))


def _declare(controller: Controller, data: bytes, origin: Origin) -> None:
    """Declare cause and author of the change to the other directors on this host."""
    try:
        controller.history.declare(data, origin)
    except HistoryError as error:
        log.error("history: other directors will record this change as an edit of the file: %s", error)


def _set_aside(path: Path) -> Path:
    try:
        return link_beside(path, _SET_ASIDE)
    except OSError as error:
        raise ChangeError(
            f"{path}: not changed, since what is in it was never loaded, and cannot be kept as {path}{_SET_ASIDE}: "
            f"{error.strerror}"
        ) from error


def _set_aside_of(aside: Path | None, controller: Controller, content: bytes | None) -> SetAside | None:
    if aside is None or content is None:
        return None
    fault = _fault(controller, content)
    log.warning(
        "%s was never loaded, and is kept as %s: %s", controller.table, aside, fault or "another file was applied"
    )
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
