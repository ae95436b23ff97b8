# SPDX-License-Identifier: MIT
"""Reading files that somebody else may put in place, for a daemon: nothing but a regular file, and no waiting."""

import os
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
