# SPDX-License-Identifier: MIT
"""An attached program as seen by commands: its role, its maps, the digest of its tables."""

import os

from glb.datapath.attachment import is_attached
from glb.datapath.director import DirectorDatapath
from glb.datapath.pins import open_pinned, pin_dir
from glb.datapath.program import LoadedProgram
from glb.datapath.proxy import ProxyDatapath
from glb.errors import DatapathError


def attached_program(interface: str) -> str:
    """The role of the program attached to the interface, "director" or "proxy", by its pinned maps. Raises
    DatapathError if nothing is attached, NotAllowedError."""
    os.close(open_pinned(interface, "counters"))
    return "director" if (pin_dir(interface) / "rows").exists() else "proxy"


def open_attached(interface: str) -> LoadedProgram:
    """The pinned program and its maps. Raises DatapathError if there is none, or one of another version of glb."""
    name = attached_program(interface)
    fd = open_pinned(interface, "program")
    datapath = DirectorDatapath.adopt(fd) if name == "director" else ProxyDatapath.adopt(fd)
    if datapath is None:
        raise DatapathError(
            f"{interface}: the attached {name} is of another version of glb than this command: restart its daemon first"
        )
    return datapath.program


def attached_tables_digest(interface: str) -> str | None:
    """The digest of the tables in force, as the daemon recorded it; None if nothing is attached.

    Raises DatapathError if a program of another version of glb is attached, NotAllowedError.
    """
    if not is_attached(interface):
        return None
    datapath = DirectorDatapath.adopt(open_pinned(interface, "program"))
    if datapath is None:
        raise DatapathError(
            f"{interface}: the attached director is of another version of glb than this command; "
            "its tables cannot be read"
        )
    try:
        return datapath.tables_digest
    finally:
        datapath.close()
