# SPDX-License-Identifier: MIT
"""Writing a host's first files, so that no earlier text is lost."""

import grp
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from glb.setup.new_file import NewFile

_GROUP = "glb"
_OTHERS = 0o007


class Fate(StrEnum):
    """What is to become of a file."""

    NEW = "new"
    KEPT = "kept"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


def fate(file: NewFile, force: bool) -> Fate:
    """kept: another text is there, and is left as it is. Raises OSError."""
    if not file.path.exists():
        return Fate.NEW
    if file.path.read_text() == file.text:
        return Fate.UNCHANGED
    return Fate.REPLACED if force else Fate.KEPT


def write(files: Iterable[NewFile], force: bool) -> Iterator[Path]:
    """Write the files that are new or replaced. Yields the path of each copy of an earlier text. Raises OSError."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for file in files:
        match fate(file, force):
            case Fate.NEW:
                file.path.parent.mkdir(parents=True, exist_ok=True)
                _create(file)
            case Fate.REPLACED:
                copy = file.path.with_name(f"{file.path.name}.{stamp}")
                os.link(file.path, copy)
                _replace(file)
                yield copy


def _create(file: NewFile, path: Path | None = None) -> None:
    """Raises FileExistsError if another process was faster."""
    descriptor = os.open(path or file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, file.mode)
    with os.fdopen(descriptor, "w") as out:
        os.fchmod(out.fileno(), file.mode)
        if not file.mode & _OTHERS:
            with suppress(KeyError):  # the packages make the group
                os.fchown(out.fileno(), -1, grp.getgrnam(_GROUP).gr_gid)
        out.write(file.text)


def _replace(file: NewFile) -> None:
    new = file.path.with_name(f".{file.path.name}.new")
    new.unlink(missing_ok=True)
    _create(file, new)
    new.replace(file.path)
