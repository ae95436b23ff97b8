# SPDX-License-Identifier: MIT
"""`glbctl`, but with a fate: `fated.py FATE ARMED ARGUMENTS...` runs the real program with these arguments.

FATE: a place at which the program is killed (SIGKILL), "before:MODULE:FUNCTION" or "after:MODULE:CLASS.METHOD", as soon
as the file ARMED is there; or "another version", whose XDP programs are made of another source.
"""

import functools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

ANOTHER_VERSION = "another version"


def be_another_version(copy: Path) -> None:
    """Have the programs made of a copy of their sources that is not quite the same."""
    from glb.datapath import source

    shutil.copytree(source.source_dir(), copy)
    with (copy / "types.h").open("a") as changed:
        changed.write("/* as another version has it */\n")
    source.source_dir = lambda: copy


def meet(place: str, armed: Path) -> None:
    """Have the process die at the place."""
    when, module, name = place.split(":")
    owner = import_module(module)
    *path, last = name.split(".")
    for step in path:
        owner = getattr(owner, step)
    setattr(owner, last, fatal(getattr(owner, last), when, armed))


def fatal(function: Callable[..., Any], when: str, armed: Path) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs) if when == "after" else None
        if armed.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return result if when == "after" else function(*args, **kwargs)

    return call


def main() -> None:
    from glb.ctl.main import run

    fate, armed, *arguments = sys.argv[1:]
    sys.argv = ["glbctl", *arguments]
    if fate != ANOTHER_VERSION:
        meet(fate, Path(armed))
        run()
        return
    # In a folder of the test's own: nothing is tidied up by a daemon that is killed.
    be_another_version(Path(tempfile.mkdtemp(dir=Path(armed).parent)) / "bpf")
    run()


if __name__ == "__main__":
    main()
