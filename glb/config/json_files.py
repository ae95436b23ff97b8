# SPDX-License-Identifier: MIT
"""The JSON files on disk: read, loaded and edited.

Edits of one file are serialized: each holds the file's lock (glb/locks.py) from reading to writing.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path

from glb.config.edit import Action, Edit, revise
from glb.config.model import Address, DirectorConfig, ForwardingTables, ProxyConfig
from glb.config.parse import decode_text, parse_director, parse_proxy, parse_tables
from glb.errors import ConfigError
from glb.files import read_file, replace_file
from glb.locks import locked


def load_tables(path: Path) -> ForwardingTables:
    """Read a forwarding table's JSON source. Raises ConfigError."""
    return parse_tables(read_text(path), str(path))


def load_director(path: Path) -> DirectorConfig:
    """Read a director's JSON configuration. Raises ConfigError."""
    return parse_director(read_text(path), str(path))


def load_proxy(path: Path) -> ProxyConfig:
    """Read a proxy's JSON configuration. Raises ConfigError."""
    return parse_proxy(read_text(path), str(path))


def read_text(path: Path) -> str:
    """A JSON file's text. Raises ConfigError, also for a GLBD binary in its place."""
    return decode_text(read_file(path), str(path))


def edit_file(
    path: Path,
    action: Action,
    address: Address | str,
    tables: Collection[str] | None = None,
    *,
    force: bool = False,
    before_write: Callable[[Edit], None] = lambda _: None,
) -> Edit:
    """Edit a file, whole or not at all.

    before_write: called with the edit just before the file is written; if it raises, the file does not change.
    Raises ConfigError as `revise`, or if the file cannot be read or replaced.
    """
    with locked_for_edit(path):
        edit = revise(read_text(path), path, action, address, tables, force=force)
        if edit.changed:
            before_write(edit)
            _replace(path, edit.source)
    return edit


def _replace(path: Path, text: str) -> None:
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be replaced: {error.strerror}") from error


def locked_for_edit(path: Path) -> AbstractContextManager[None]:
    """Hold the file's lock, so that no other edit runs. Raises LockError."""
    return locked(path, f"edits of {path}")
