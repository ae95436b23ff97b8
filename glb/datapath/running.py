# SPDX-License-Identifier: MIT
"""The program that is attached to an interface, to be looked at beside its daemon."""

from glb.datapath.counters import attached_program
from glb.datapath.director import DirectorDatapath
from glb.datapath.pins import open_pinned
from glb.datapath.program import Program
from glb.datapath.proxy import ProxyDatapath
from glb.errors import DatapathError


def open_running(interface: str) -> Program:
    """The pinned program and its maps. Raises DatapathError if there is none, or one of another version of glb."""
    name = attached_program(interface)
    fd = open_pinned(interface, "program")
    datapath = DirectorDatapath.adopt(fd) if name == "director" else ProxyDatapath.adopt(fd)
    if datapath is None:
        raise DatapathError(
            f"{interface}: the attached {name} is of another version of glb than this command: restart its daemon first"
        )
    return datapath.program
