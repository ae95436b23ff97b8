# SPDX-License-Identifier: MIT
"""Compiled programs on disk, so that a daemon's start runs no compiler: a host's own, and those that a package brings.

An entry's content is loaded into the kernel, so only files that no other user can write are used. Without a usable
cache, programs are compiled.
"""

import contextlib
import logging
import os
import stat
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from glb.files import replace_file

log = logging.getLogger(__name__)

_MOST_ENTRIES = 64
_MOST_BYTES = 16 << 20  # of an entry; they have some 300 KB
_LEFT_BEHIND_S = 600.0  # the age of an unfinished file whose writer was killed
_SUFFIX = ".program"
_OTHERS_WRITE = 0o022
_DIGEST_LENGTH = 64


class _Unfit(Exception):
    """An entry, or the whole cache, that is not used; with the reason."""


@dataclass(frozen=True, slots=True)
class ProgramCache:
    """A folder of entries, by key. most: how many it keeps; those that were used least recently go."""

    folder: Path
    most: int = _MOST_ENTRIES

    @classmethod
    def of_host(cls) -> "ProgramCache":
        """$GLB_CACHE_DIR, or /var/cache/glb."""
        return cls(Path(os.environ.get("GLB_CACHE_DIR", "/var/cache/glb")))

    def read(self, key: str) -> bytes | None:
        """The data written under a key; None if there is none. Data that cannot be trusted is logged and not
        returned."""
        data = read_entry(self.folder, key)
        if data is not None:
            with contextlib.suppress(OSError):
                os.utime(_path(self.folder, key))
        return data

    def write(self, key: str, data: bytes) -> None:
        """Keep data under a key. Where that is not possible, it is logged, and no more."""
        path = _path(self.folder, key)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _examine_folder(self.folder)
            path.unlink(missing_ok=True)  # or its owner and mode would stay
            replace_file(path, sha256(data).hexdigest().encode() + data, mode=0o600)
            self._forget()
        except (OSError, _Unfit) as error:
            log.warning("%s: the compiled program is not kept: %s", path, _reason(error))

    def _forget(self) -> None:
        """Remove the entries that were used least recently, and what writers that were killed left behind."""
        entries = sorted(self.folder.glob(f"*{_SUFFIX}"), key=_time_of, reverse=True)
        unfinished = [
            path for path in self.folder.glob(f".*{_SUFFIX}.*") if time.time() - _time_of(path) > _LEFT_BEHIND_S
        ]
        for path in (*entries[self.most :], *unfinished):
            path.unlink(missing_ok=True)


def shipped_dir() -> Path:
    """The folder of packages' programs with usual capacities: $GLB_PROGRAMS_DIR, or /usr/lib/glb/programs."""
    return Path(os.environ.get("GLB_PROGRAMS_DIR", "/usr/lib/glb/programs"))


def read_entry(folder: Path, key: str) -> bytes | None:
    """The data under a key in a folder; None if there is none. Data that cannot be trusted is logged and not
    returned."""
    path = _path(folder, key)
    try:
        _examine_folder(folder)
        return _read(path)
    except FileNotFoundError:
        return None
    except (OSError, _Unfit) as error:
        log.warning("%s: not used, compiling again: %s", path, _reason(error))
        return None


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key}{_SUFFIX}"


def _examine_folder(folder: Path) -> None:
    if not _is_own(folder.stat()):
        raise _Unfit(f"{folder} belongs to another user, or others may write to it")


def _read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _Unfit("not a regular file")
        if not _is_own(found):
            raise _Unfit("it belongs to another user, or others may write to it")
        content = file.read(_MOST_BYTES + 1)
    data = content[_DIGEST_LENGTH:]
    if len(content) > _MOST_BYTES or content[:_DIGEST_LENGTH] != sha256(data).hexdigest().encode():
        raise _Unfit("it is damaged")
    return data


def _is_own(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE


def _time_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed by another daemon meanwhile
        return 0.0


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
