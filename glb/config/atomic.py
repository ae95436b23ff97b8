# SPDX-License-Identifier: MIT
"""Replacing a file as a whole: whoever reads it sees the old one or the new one, also after a crash."""

import contextlib
import os
import secrets
from pathlib import Path


def replace_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write `data` in the place of `path`, keeping the mode and owner of a file that is there.

    mode: of a new file, less the umask. A symlink stays, and its target is replaced. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        _write_new(temporary, target, data, mode)
        temporary.rename(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _sync_directory(target.parent)


def link_beside(path: Path, suffix: str) -> Path:
    """Give a file that is about to be replaced a second name, by which it stays beside it with its owner and mode.

    Whatever had that name goes. Of a symlink, its target gets the name. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(target.name + suffix)
    beside.unlink(missing_ok=True)
    beside.hardlink_to(target)
    return beside


def _write_new(temporary: Path, target: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        if target.exists():
            old = target.stat()
            os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fchmod(file.fileno(), old.st_mode & 0o7777)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
