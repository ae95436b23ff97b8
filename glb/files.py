# SPDX-License-Identifier: MIT
"""Reading files, with errors that name them, and replacing files atomically.

A reader of a replaced file sees the old or the new content, also after a crash.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from glb.errors import ConfigError

MAX_BYTES = 4 << 30
"""The largest file that is read: a GLBD binary of 4,096 tables has 2 GiB."""

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises ConfigError with the system's reason if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def read_regular(path: Path) -> bytes:
    """A regular file's bytes.

    Opening a FIFO or a device could block for ever (open(2), O_NONBLOCK). Raises ConfigError with the file and the
    system's reason, or the kind of the file.
    """
    try:
        with open(os.open(path, _FLAGS), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            _require_regular(file.fileno(), path)
            return file.read()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _require_regular(descriptor: int, path: Path) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file")
        raise ConfigError(f"{path}: this is {kind}; a regular file, or a link to one, is needed")
    if found.st_size > MAX_BYTES:
        raise ConfigError(f"{path}: {found.st_size} bytes; at most {MAX_BYTES} are read")


def replace_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Replace the content of `path` by `data`, keeping the mode and owner of an existing file.

    mode: of a new file, before the umask. If the path is a symlink, its target is replaced. Raises OSError.
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
    """Link a file that is about to be replaced under a second name, in the same folder.

    A file that has that name is removed. If the path is a symlink, its target is linked. Raises OSError.
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
