# SPDX-License-Identifier: MIT
"""Taking labs away, whatever state they are in, by their name alone.

A lab's folder with its lab.json appears in one step before anything else is made, and disappears in one step
after all else is gone; so whatever is left of a lab, its folder is there to tell. One lock keeps those who
make, sweep and remove labs apart.
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
    """The labs that are up, or left over."""
    return sorted(path.parent.name.removeprefix(PREFIX) for path in RUN_ROOT.glob(f"{PREFIX}*/{STATE_FILE}"))


def claim(state: LabState) -> None:
    """Begin a lab: remove what is left under its name, and write down whose it is.

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
    """Remove all of a lab: processes, namespaces, pins, files. Nothing to remove is fine.

    Raises LabError if a process will not die.
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
    """Those of this lab, and not of one whose name begins the same: no host has a '-' in its name."""
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
    """Held on the folder that all labs lie in; the kernel gives it up if its holder dies."""
    folder = os.open(RUN_ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
