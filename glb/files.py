# SPDX-License-Identifier: MIT
"""Files as wholes: read with an error that names them, or replaced so that a reader sees the old or the new content.

A replaced file is complete after a crash as well.
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
    """A file's bytes; ConfigError with the system's reason if there are none to be had."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def read_regular(path: Path) -> bytes:
    """A regular file's bytes.

    An open of a FIFO, or of a device, could wait for ever (open(2), O_NONBLOCK). Raises ConfigError that names the
    file and the system's reason, or what is in its place.
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
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no regular file")
        raise ConfigError(f"{path}: this is {kind}; a regular file, or a link to one, is needed")
    if found.st_size > MAX_BYTES:
        raise ConfigError(f"{path}: {found.st_size} bytes; at most {MAX_BYTES} are read")


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
