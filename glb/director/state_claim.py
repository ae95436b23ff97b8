# SPDX-License-Identifier: MIT
"""The state directory belongs to the directors of one run directory.

Names of interfaces and locks are settled in the run directory. Directors that do not see the same one, such as those of
two containers, would write each other's health and history if they shared $GLB_STATE_DIR.
"""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from glb.errors import LockError
from glb.paths import run_dir, state_dir

log = logging.getLogger(__name__)

_FILE = "owner"
_MOST_BYTES = 4096
_WAIT_SECONDS = 2.0  # for another director, which starts at the same time and writes the file
_RETRY_SECONDS = 0.02


@contextlib.contextmanager
def claimed_state_dir() -> Iterator[None]:
    """Hold the state directory for the directors of this run directory.

    A directory that cannot be written to is logged and not claimed: nothing is kept there. Raises LockError if
    directors of another run directory hold it.
    """
    descriptor = None
    try:
        descriptor = _open(state_dir() / _FILE)
        _claim(descriptor)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open(path: Path) -> int | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        log.warning("%s cannot be used, so health and history may not be kept: %s", path.parent, error.strerror)
        return None


def _claim(descriptor: int | None) -> None:
    """The first director writes down whose the directory is; all of them hold a shared lock (flock(2))."""
    if descriptor is None:
        return
    own = _identity()
    if _try_lock(descriptor, fcntl.LOCK_EX):
        with contextlib.suppress(OSError):  # a full disk
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, own, 0)
    deadline = time.monotonic() + _WAIT_SECONDS
    while not _try_lock(descriptor, fcntl.LOCK_SH) and time.monotonic() < deadline:
        time.sleep(_RETRY_SECONDS)
    owner = os.pread(descriptor, _MOST_BYTES, 0)
    if owner not in (own, b""):
        place = os.fsdecode(owner.partition(b"\0")[0])
        raise LockError(
            f"{state_dir()}: directors with another run directory, {place}, keep their state here; give each "
            "container, and each network namespace with its own run directory, its own $GLB_STATE_DIR"
        )


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks
        return False
    return True


def _identity() -> bytes:
    """The run directory by its path and file system: containers have different ones at the same path."""
    run = run_dir()
    try:
        run.mkdir(parents=True, exist_ok=True)
        device = run.stat().st_dev
    except OSError:  # which the start reports when it needs the directory
        device = 0
    return os.fsencode(os.path.realpath(run)) + f"\0{device}".encode()
