"""Where daemons keep what must outlive them."""

import os
from pathlib import Path


def state_dir() -> Path:
    """$GLB_STATE_DIR, or /var/lib/glb."""
    return Path(os.environ.get("GLB_STATE_DIR", "/var/lib/glb"))
