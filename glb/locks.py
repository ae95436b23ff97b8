# SPDX-License-Identifier: MIT
"""Locks between glb's processes, on files that only root can open, so that no other user can hold them.

The kernel releases a lock when the process that holds it ends (flock(2)).
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from glb.errors import LockError, LockHeldError
from glb.paths import run_dir

WAIT_SECONDS = 10.0
"""The default time to wait for a lock."""

_RETRY_SECONDS = 0.02
_ROOT = 0


@contextlib.contextmanager
def locked(path: Path, what: str, seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock for a path, which need not exist. what: a noun phrase for messages, such as "edits of FILE".

    For root the lock is a file in `<run dir>/locks`. Other users, who edit their own files, lock the path's directory.
    Raises LockError after `seconds`.
    """
    descriptor = acquire(path, what, seconds)
    try:
        yield
    finally:
        os.close(descriptor)


def acquire(path: Path, what: str, seconds: float = WAIT_SECONDS) -> int:
    """Take the lock for a path; it is held until the returned descriptor is closed. Raises LockError."""
    real = Path(os.path.realpath(path))
    try:
        descriptor = _open(real)
    except OSError as error:
        raise LockError(f"{what}: {error.filename} cannot be locked: {error.strerror}") from error
    try:
        _wait(descriptor, what, seconds)
    except BaseException:
        os.close(descriptor)
        raise
    _note_holder(descriptor)
    return descriptor


def _open(path: Path) -> int:
    if os.geteuid() != _ROOT:
        return os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    folder = run_dir() / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = sha256(os.fsencode(path)).hexdigest()[:32]
    return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def _wait(descriptor: int, what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise LockError(f"{what}: no lock: {error.strerror}") from error
        else:
            return
        if time.monotonic() >= deadline:
            raise LockHeldError(f"{what}: another process{_holder(descriptor)} has held the lock for {seconds:g} s")
        time.sleep(_RETRY_SECONDS)


def _note_holder(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # a directory, or a full disk: the note is for messages only
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        return f" (pid {int(os.pread(descriptor, 20, 0))})"
    except (OSError, ValueError):
        return ""
