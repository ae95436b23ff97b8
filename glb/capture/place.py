# SPDX-License-Identifier: MIT
"""The place that a capture's twin takes on an interface, and gives back."""

import os

from glb.datapath import libbpf
from glb.datapath.kernel import link_info, object_id, open_program, share_maps
from glb.datapath.pins import open_pinned
from glb.datapath.twin import Twin
from glb.errors import CaptureError


class Place:
    """Where an interface's program stands: its link, and what that held when the capture began to be prepared.

    Until the twins are built the daemon may put in another program. Nothing is put in the place of one that was not
    looked at: it would go on by tables that are not in force any more.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self._link = open_pinned(interface, "link")
        self._held = open_program(link_info(self._link).program_id)

    def put(self, twin: Twin) -> None:
        """Raises CaptureError if the place is not as it was."""
        as_looked_at = share_maps(self._held, twin.original.fd)  # the program, or the twin of a capture before this one
        if not (as_looked_at and libbpf.exchange_in_link(self._link, self._held, twin.fd)):
            raise CaptureError(f"{self.interface}: what is attached has just changed; begin again")

    def put_back(self, twin: Twin) -> None:
        """Put the twin's original in its place, if it is there still."""
        libbpf.exchange_in_link(self._link, twin.fd, twin.original.fd)

    def holds(self, twin: Twin) -> bool:
        link = link_info(self._link)
        return link.ifindex != 0 and link.program_id == object_id(twin.fd)

    def close(self) -> None:
        os.close(self._held)
        os.close(self._link)
