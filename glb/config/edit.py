# SPDX-License-Identifier: MIT
"""Edits of a table file's text: whole or not at all, only by allowed transitions to a valid result. Pure.

The text keeps its indentation and the order of its keys.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from glb.config.json_text import parse_json
from glb.config.model import Address, State, Table
from glb.config.parse import parse_tables
from glb.config.transitions import objection
from glb.errors import ConfigError

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StateEdit:
    """A backend's state in one table before and after an edit; None: the table does not list it."""

    table: str
    address: Address
    before: State | None
    after: State | None

    def __str__(self) -> str:
        return f"{self.table}: {self.address} {self.before or 'new'} -> {self.after or 'removed'}"


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit and its effect on each table. before, source: the file's text before and after it."""

    path: Path
    changes: tuple[StateEdit, ...]
    before: str
    source: str

    @property
    def changed(self) -> bool:
        """Whether the edit changes the file."""
        return any(change.before != change.after for change in self.changes)


@dataclass(frozen=True, slots=True)
class _Place:
    """One table of a file: its values, its JSON object, which edits change, and its field for messages."""

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
    """A JSON value that has been validated as an object."""
    assert isinstance(raw, dict)
    return raw


class Action(StrEnum):
    """An operation on one backend."""

    DRAIN = "drain"
    ACTIVATE = "activate"
    FILL = "fill"
    DEACTIVATE = "deactivate"
    REMOVE = "remove"


_STATES = {
    Action.DRAIN: State.DRAINING,
    Action.ACTIVATE: State.ACTIVE,
    Action.FILL: State.FILLING,
    Action.DEACTIVATE: State.INACTIVE,
}


def revise(
    text: str,
    path: Path,
    action: Action,
    address: Address | str,
    tables: Collection[str] | None = None,
    *,
    force: bool = False,
) -> Edit:
    """Apply an action to a backend in a table file's text. path: the file's, for messages; it is not touched.

    tables: the names of the tables to change; None: every table that lists the address, or, to fill a new backend, the
    only table. A new backend gets the health checks of the table's other backends if these are all equal. With `force`,
    any transition is allowed. Raises ConfigError: transition not allowed, address or table unknown, no backend left
    that can serve, or source not valid.
    """
    backend = _parse_address(address)
    raw = parse_json(text, str(path))
    old = _places(path, text, raw)
    chosen = _choose(path, old, backend, tables, action is Action.FILL)
    for place in chosen:
        _revise(place, backend, action)
    revised = _dump(raw, text)
    new = {place.table.name: place for place in _places(path, revised, raw)}
    edit = Edit(path, tuple(_change(place, new[place.table.name], backend) for place in chosen), text, revised)
    if not force:
        _require_legal(edit)
    return edit


def _revise(place: _Place, backend: Address, action: Action) -> None:
    if action in (Action.REMOVE, Action.DEACTIVATE):
        _require_another(place, backend)
    entry = place.entry(backend)
    if action is Action.REMOVE:
        place.raw["backends"].remove(entry)
    elif entry is None:
        place.raw["backends"].append(_new_backend(place.raw["backends"], backend))
    else:
        entry["state"] = str(_STATES[action])


def _change(old: _Place, new: _Place, address: Address) -> StateEdit:
    return StateEdit(old.table.name, address, old.state(address), new.state(address))


def _require_legal(edit: Edit) -> None:
    problems = [
        f'{edit.path}: table "{change.table}": {change.address} {found.reason}; {found.remedy}, or use --force'
        for change in edit.changes
        if (found := objection(change.before, change.after)) is not None
    ]
    if problems:
        raise ConfigError(problems)


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


def _choose(
    path: Path, places: list[_Place], address: Address, tables: Collection[str] | None, may_add: bool
) -> list[_Place]:
    """The tables that an edit changes."""
    names = ", ".join(place.table.name for place in places)
    if tables is not None:
        unknown = sorted(set(tables) - {place.table.name for place in places})
        if unknown:
            raise ConfigError(f'{path}: no table "{unknown[0]}"; known are {names}')
        places = [place for place in places if place.table.name in tables]
    listing = [place for place in places if place.entry(address) is not None]
    if listing:
        return listing
    if not may_add:
        known = sorted({str(backend.address) for place in places for backend in place.table.backends})
        raise ConfigError(f"{path}: no backend {address}; known are {', '.join(known)}")
    if len(places) > 1:
        raise ConfigError(f"{path}: {address} is new; name its table: {names}")
    return places


def _require_another(place: _Place, address: Address) -> None:
    """Refuse to remove the last backend that takes new connections."""
    state = place.state(address)
    others = [backend for backend in place.table.backends if backend.address != address]
    if state is not None and state.takes_new and not any(backend.state.takes_new for backend in others):
        raise ConfigError(f"{place.where}: {address} is the last backend that can serve; activate another first")


def _new_backend(siblings: list[Raw], address: Address) -> Raw:
    entry: Raw = {"ip": str(address), "state": str(State.FILLING), "healthy": True}
    checks = siblings[0].get("healthchecks")
    if checks is not None and all(sibling.get("healthchecks") == checks for sibling in siblings):
        entry["healthchecks"] = dict(checks)
    return entry


def _dump(raw: Raw, like: str) -> str:
    """`raw` as JSON with the layout of the text `like`."""
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
