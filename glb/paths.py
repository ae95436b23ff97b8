# SPDX-License-Identifier: MIT
"""Where glb keeps its files on a host. Each place may be changed by an environment variable."""

import os
from pathlib import Path


def run_dir() -> Path:
    """What lives as long as the host is up: status, sockets, locks. $GLB_RUN_DIR, or /run/glb."""
    return Path(os.environ.get("GLB_RUN_DIR", "/run/glb"))


def state_dir() -> Path:
    """What outlives daemons and reboots: health, history, copies. $GLB_STATE_DIR, or /var/lib/glb."""
    return Path(os.environ.get("GLB_STATE_DIR", "/var/lib/glb"))
