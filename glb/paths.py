# SPDX-License-Identifier: MIT
"""The directories in which glb keeps its files. Environment variables override them."""

import os
from pathlib import Path


def config_dir() -> Path:
    """The files that users write: director.conf, proxy.conf, forwarding_table.json. $GLB_CONFIG_DIR, or /etc/glb."""
    return Path(os.environ.get("GLB_CONFIG_DIR", "/etc/glb"))


def director_config() -> Path:
    """A director's configuration, where no other file is named."""
    return config_dir() / "director.conf"


def proxy_config() -> Path:
    """A proxy's configuration, where no other file is named."""
    return config_dir() / "proxy.conf"


def forwarding_table() -> Path:
    """The forwarding tables, where no other file is named."""
    return config_dir() / "forwarding_table.json"


def run_dir() -> Path:
    """Files that a reboot removes: status, sockets, locks. $GLB_RUN_DIR, or /run/glb."""
    return Path(os.environ.get("GLB_RUN_DIR", "/run/glb"))


def state_dir() -> Path:
    """Files that outlive daemons and reboots: health, history, copies. $GLB_STATE_DIR, or /var/lib/glb."""
    return Path(os.environ.get("GLB_STATE_DIR", "/var/lib/glb"))
