# SPDX-License-Identifier: MIT
"""Backends of a lab that are drained and put back, while pictures are taken of it."""

from glb.lab import Lab


def move(lab: Lab, verb: str, backend: str) -> None:
    """As its operator does it, by `glbctl backend`. Ends the program where that is refused."""
    done = lab.run("director1", ["glbctl", "backend", verb, str(lab.table_path), backend])
    if done.returncode:
        raise SystemExit(done.stderr)
