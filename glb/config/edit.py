"""Edits of a forwarding table's JSON source by commands: whole or not at all, only by legal moves to a valid result.

Two edits at once follow one another: each holds the file's lock (glb/locks.py) from its reading to its writing.
The file keeps its indentation and the order of its keys.
"""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from glb.config.atomic import replace_file
from glb.config.errors import ConfigError
from glb.config.load import parse_json, parse_tables, read_text
from glb.config.model import Address, State, Table
from glb.config.moves import objection
from glb.locks import locked

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit does to a backend in one table; None for a backend that is not in it before, or after."""

    table: str
    address: Address
    before: State | None
    after: State | None


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edit did, table by table, or would do. source: the file's text afterwards."""

    path: Path
    changes: tuple[Change, ...]
    source: str

    @property
    def changed(self) -> bool:
        """Whether the file had to be written anew."""
        return any(change.before != change.after for change in self.changes)


@dataclass(frozen=True, slots=True)
class _Place:
    """One table of a source: its values, its JSON object, which edits change, and where it stands."""

    table: Table
    raw: Raw
    where: str

    def entry(self, address: Address) -> Raw | None:
        """The JSON object of the backend with this address."""
        for backend, raw in zip(self.table.backends, self.raw["backends"], strict=True):
            if backend.address == address:
                return dict_of(raw)
        return None

    def state(self, address: Address) -> State | None:
        return next((backend.state for backend in self.table.backends if backend.address == address), None)


def dict_of(raw: Any) -> Raw:
    """A JSON value that validation has shown to be an object."""
    assert isinstance(raw, dict)
    return raw


def set_backend_state(
    path: Path,
    address: Address | str,
    state: State,
    table: str | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> Edit:
    """Set a backend's state in `table`, or in every table that lists it.

    With `force`, the move from its state to the new one need not be legal. With `dry_run`, the file stays as it is.
    Raises ConfigError: move not legal, address or table unknown, no backend left that could serve, or file not valid.
    """

    def revise(place: _Place, backend: Address) -> None:
        if state is State.INACTIVE:
            _require_another(place, backend)
        entry = place.entry(backend)
        assert entry is not None
        entry["state"] = str(state)

    return _edit(path, address, table, revise, force, dry_run)


def fill_backend(
    path: Path, address: Address | str, table: str | None = None, *, force: bool = False, dry_run: bool = False
) -> Edit:
    """Set a backend's state to filling; a new address is added to `table`, or to the only table there is.

    A new backend takes over its siblings' health checks if they all agree. Raises ConfigError as
    `set_backend_state` does, and if a new address could go to more than one table.
    """

    def revise(place: _Place, backend: Address) -> None:
        entry = place.entry(backend)
        if entry is None:
            place.raw["backends"].append(_new_backend(place.raw["backends"], backend))
        else:
            entry["state"] = str(State.FILLING)

    return _edit(path, address, table, revise, force, dry_run, may_add=True)


def remove_backend(
    path: Path, address: Address | str, table: str | None = None, *, force: bool = False, dry_run: bool = False
) -> Edit:
    """Take a backend out of `table`, or out of every table that lists it.

    Raises ConfigError as `set_backend_state` does.
    """

    def revise(place: _Place, backend: Address) -> None:
        _require_another(place, backend)
        place.raw["backends"].remove(place.entry(backend))

    return _edit(path, address, table, revise, force, dry_run)


def _edit(
    path: Path,
    address: Address | str,
    table: str | None,
    revise: Callable[[_Place, Address], None],
    force: bool,
    dry_run: bool,
    may_add: bool = False,
) -> Edit:
    backend = _parse_address(address)
    with locked_for_edit(path):
        text = read_text(path)
        raw = parse_json(text, str(path))
        old = _places(path, text, raw)
        chosen = _choose(path, old, backend, table, may_add)
        for place in chosen:
            revise(place, backend)
        revised = _dump(raw, text)
        new = {place.table.name: place for place in _places(path, revised, raw)}
        edit = Edit(path, tuple(_change(place, new[place.table.name], backend) for place in chosen), revised)
        if not force:
            _require_legal(edit)
        if edit.changed and not dry_run:
            _replace(path, revised)
    return edit


def _change(old: _Place, new: _Place, address: Address) -> Change:
    return Change(old.table.name, address, old.state(address), new.state(address))


def _require_legal(edit: Edit) -> None:
    problems = [
        f'{edit.path}: table "{change.table}": {change.address} {found.reason}; {found.remedy}, or insist with --force'
        for change in edit.changes
        if (found := objection(change.before, change.after)) is not None
    ]
    if problems:
        raise ConfigError(problems)


def _replace(path: Path, text: str) -> None:
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be replaced: {error.strerror}") from error


def locked_for_edit(path: Path) -> AbstractContextManager[None]:
    """Let no other edit of the file come between. Raises LockError."""
    return locked(path, f"edits of {path}")


def _parse_address(address: Address | str) -> Address:
    try:
        return ip_address(address)
    except ValueError:
        raise ConfigError(f'"{address}" is not an IPv4 or IPv6 address') from None


def _places(path: Path, text: str, raw: Raw) -> list[_Place]:
    tables = parse_tables(text, str(path)).tables
    return [
        _Place(table, dict_of(raw["tables"][index]), f"{path}: tables[{index}].backends")
        for index, table in enumerate(tables)
    ]


def _choose(path: Path, places: list[_Place], address: Address, table: str | None, may_add: bool) -> list[_Place]:
    """The tables that an edit is about."""
    names = ", ".join(place.table.name for place in places)
    if table is not None:
        places = [place for place in places if place.table.name == table]
        if not places:
            raise ConfigError(f'{path}: no table "{table}"; there are {names}')
    listing = [place for place in places if place.entry(address) is not None]
    if listing:
        return listing
    if not may_add:
        known = sorted({str(backend.address) for place in places for backend in place.table.backends})
        raise ConfigError(f"{path}: no backend {address}; there are {', '.join(known)}")
    if len(places) > 1:
        raise ConfigError(f"{path}: {address} is new, so say which table it goes to: {names}")
    return places


def _require_another(place: _Place, address: Address) -> None:
    """Refuse to lose the last backend that takes new connections."""
    state = place.state(address)
    others = [backend for backend in place.table.backends if backend.address != address]
    if state is not None and state.takes_new and not any(backend.state.takes_new for backend in others):
        raise ConfigError(f"{place.where}: {address} is the last that could serve; activate another first")


def _new_backend(siblings: list[Raw], address: Address) -> Raw:
    entry: Raw = {"ip": str(address), "state": str(State.FILLING), "healthy": True}
    checks = siblings[0].get("healthchecks")
    if checks is not None and all(sibling.get("healthchecks") == checks for sibling in siblings):
        entry["healthchecks"] = dict(checks)
    return entry


def _dump(raw: Raw, like: str) -> str:
    """`raw` as JSON that is laid out like the text `like`."""
    indent = re.search(r"^[ \t]+(?=\S)", like, re.MULTILINE)
    spaced = indent or '": ' in like
    end = like[len(like.rstrip()) :]
    return (
        json.dumps(
            raw,
            indent=indent[0] if indent else None,
            separators=("," if indent else ", ", ": ") if spaced else (",", ":"),
            ensure_ascii=like.isascii(),
        )
        + end
    )
