# SPDX-License-Identifier: MIT
"""The paths of a lab's files, and the environment of its processes.

Every name contains the lab's name, so labs can run side by side, and each can be removed by its name.
"""

import os
import re
import sys
from pathlib import Path

from glb.errors import LabError

RUN_ROOT = Path("/run")
PREFIX = "glb-"
STATE_FILE = "lab.json"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")


def check_name(lab: str) -> None:
    """Raises LabError if `lab` cannot be part of a namespace's and a folder's name."""
    if not _NAME.fullmatch(lab):
        raise LabError(f"{lab!r} is not a lab's name: use up to 24 of a-z, 0-9 and '-', such as 'lab' or 'try-2'")


def namespace(lab: str, host: str) -> str:
    return f"{PREFIX}{lab}-{host}"


def run_dir(lab: str) -> Path:
    """Configuration, logs, sockets and lab.json of one lab."""
    return RUN_ROOT / f"{PREFIX}{lab}"


def pin_dir(lab: str) -> Path:
    """The BPF pins of one lab, a folder for each interface below it."""
    return Path("/sys/fs/bpf") / f"{PREFIX}{lab}"


def table_path(lab: str) -> Path:
    return run_dir(lab) / "forwarding_table.json"


def director_config_path(lab: str, director: str) -> Path:
    return run_dir(lab) / f"{director}.conf"


def proxy_config_path(lab: str, proxy: str) -> Path:
    return run_dir(lab) / f"{proxy}.conf"


def log_path(lab: str, host: str, program: str) -> Path:
    return run_dir(lab) / f"{host}-{program}.log"


def report_path(lab: str, director: str) -> Path:
    """The status file that a director's daemon keeps."""
    return run_dir(lab) / f"{director}.status.json"


def environment(lab: str) -> dict[str, str]:
    """The caller's environment, with the lab's folders for glb and this Python's commands first in PATH."""
    commands = str(Path(sys.executable).parent)
    return os.environ | {
        "GLB_PIN_DIR": str(pin_dir(lab)),
        "GLB_RUN_DIR": str(run_dir(lab)),
        "GLB_STATE_DIR": str(run_dir(lab) / "state"),
        "PATH": f"{commands}:{os.environ.get('PATH', os.defpath)}",
    }
