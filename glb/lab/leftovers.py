# SPDX-License-Identifier: MIT
"""Removal of labs in any state, by name.

A lab's folder with its lab.json is created in one step before anything else, and removed in one step after everything
else; so the folder exists as long as anything of a lab does. One lock serializes creation and removal of labs.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glb.daemon.process import ProcessId
from glb.errors import LabError
from glb.lab import netns, process
from glb.lab.paths import PREFIX, RUN_ROOT, STATE_FILE, namespace, pin_dir, run_dir
from glb.lab.state import LabState, load, save

_DRAFT = RUN_ROOT / ".glb-lab-draft"


def names() -> list[str]:
    """The names of labs that are running or left over."""
    return sorted(path.parent.name.removeprefix(PREFIX) for path in RUN_ROOT.glob(f"{PREFIX}*/{STATE_FILE}"))


def claim(state: LabState) -> None:
    """Begin a lab: remove what is left under its name, and record its owner.

    Raises LabError if a living process owns a lab of this name.
    """
    with _lock():
        owner = _living_owner(state.name)
        if owner is not None:
            raise LabError(f"lab {state.name!r} is in use by process {owner.pid}: choose another name")
        _remove(state.name)
        _DRAFT.mkdir(mode=0o755)
        save(state, _DRAFT)
        _DRAFT.rename(run_dir(state.name))


def sweep() -> list[str]:
    """Remove every lab whose owner has died. Returns their names."""
    with _lock():
        dead = [name for name in names() if _owner_died(name)]
        for name in dead:
            _remove(name)
        _discard(_DRAFT)
    return dead


def remove(lab: str) -> None:
    """Remove all of a lab: processes, namespaces, pins, files. No error if nothing is left.

    Raises LabError if a process does not end.
    """
    with _lock():
        _remove(lab)


def _remove(lab: str) -> None:
    namespaces = _namespaces(lab)
    for name in namespaces:
        process.kill_all_in(name)
    _discard(pin_dir(lab))
    for name in namespaces:
        netns.remove(name)
    _discard(_DRAFT)
    if run_dir(lab).exists():
        run_dir(lab).rename(_DRAFT)
        _discard(_DRAFT)


def _discard(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _namespaces(lab: str) -> list[str]:
    """The namespaces of this lab, without labs whose names begin alike: no host name contains a '-'."""
    prefix = namespace(lab, "")
    return [name for name in netns.names(prefix) if "-" not in name.removeprefix(prefix)]


def _living_owner(lab: str) -> ProcessId | None:
    try:
        owner = load(lab).owner
    except LabError:
        return None
    return owner if owner and owner.is_alive() else None


def _owner_died(lab: str) -> bool:
    owner = load(lab).owner
    return owner is not None and not owner.is_alive()


@contextmanager
def _lock() -> Iterator[None]:
    """A lock on the folder of all labs; the kernel releases it when the holder dies."""
    folder = os.open(RUN_ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
