# SPDX-License-Identifier: MIT
"""Locks between glb's processes: root's own, and not waited for without end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from glb.errors import LockError, LockHeldError
from glb.locks import locked

NOBODY = 65534
HOLD = """
import sys
from pathlib import Path
from glb.locks import locked
with locked(Path(sys.argv[1]), "the file"):
    print(flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def _own_run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path / "run"))


@contextmanager
def held(path: Path) -> Iterator[int]:
    """By another process, whose number this gives."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"\n"
    try:
        yield holder.pid
    finally:
        holder.communicate(b"\n", 10)


def test_the_wait_for_a_held_lock_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    with held(path) as pid:
        refusal = pytest.raises(LockHeldError, match=rf"edits: another process \(pid {pid}\) has held")
        with refusal, locked(path, "edits", seconds=0.1):
            pass
    with locked(path, "edits", seconds=0):
        pass


def test_a_link_and_its_target_have_one_lock(tmp_path: Path) -> None:
    path, link = tmp_path / "table.json", tmp_path / "link.json"
    link.symlink_to(path)
    with held(path), pytest.raises(LockHeldError), locked(link, "edits", seconds=0):
        pass


def test_other_users_can_neither_open_nor_find_roots_locks(tmp_path: Path) -> None:
    with locked(tmp_path / "table.json", "edits"):
        folder = tmp_path / "run" / "locks"
        [lock] = folder.iterdir()

        assert folder.stat().st_mode & 0o077 == 0
        assert lock.stat().st_mode & 0o077 == 0


def test_a_lock_that_cannot_be_created_names_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path / "file"))

    refusal = pytest.raises(LockError, match=r"edits: .*/file/locks cannot be locked: Not a directory")
    with refusal, locked(tmp_path / "table.json", "edits"):
        pass
