# SPDX-License-Identifier: MIT
"""Copies of the files that were in force last, for a start at which the files themselves are refused.

$GLB_STATE_DIR/in-force (/var/lib/glb/in-force) has a folder for each daemon. Its name contains the first interface and
a digest of the files' paths, so that a daemon with other files does not use these copies.
"""

import logging
from hashlib import sha256
from pathlib import Path

from glb.director.sources import Contents, Sources
from glb.files import replace_file
from glb.paths import state_dir

log = logging.getLogger(__name__)


class FileCopies:
    """The copies of one daemon's files."""

    def __init__(self, interface: str, sources: Sources) -> None:
        """interface: the daemon's first."""
        files = "\0".join(str(path.absolute()) for path in (sources.config, sources.table))
        folder = state_dir() / "in-force" / f"{interface}-{sha256(files.encode()).hexdigest()[:12]}"
        self.sources = Sources(folder / "director.conf", folder / "forwarding_table")
        self._kept: str | None = None  # the digest of the latest copies

    def keep(self, contents: Contents) -> None:
        """Replace the copies. A failure is only logged."""
        if contents.digest == self._kept:
            return
        try:
            self.sources.table.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self.sources.config, contents.config)
            _replace(self.sources.table, contents.table)
        except OSError as error:
            log.error("%s: no copy for the next start: %s", self.sources.table.parent, error.strerror)
            return
        self._kept = contents.digest


def _replace(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)  # the tables' keys are secret
    replace_file(path, data)
