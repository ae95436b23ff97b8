"""A program at its interface: attached by a link that is pinned, so that it does not need the daemon to live."""

import os

from glb.datapath import libbpf
from glb.datapath.pins import PinDir, pin_dir
from glb.datapath.program import Program
from glb.network.interface import Interface


def is_attached(interface: str) -> bool:
    """Whether the link that is pinned for an interface still holds an interface."""
    path = pin_dir(interface) / "link"
    if not path.exists():
        return False
    link = libbpf.open_pin(path)
    try:
        return libbpf.link_ifindex(link) != 0
    finally:
        os.close(link)


class Attachment:
    """The place of one program on one interface. Programs in it are replaced without a packet seeing none."""

    def __init__(self, interface: Interface) -> None:
        self.interface = interface
        self._pins = PinDir(interface.name)
        self._link: int | None = None
        self.is_new = False
        """Whether what is attached was attached by this process, in nobody's place."""

    def put(self, program: Program) -> None:
        """Attach the program, or replace the one that is attached: ours, or what an earlier daemon left.

        Raises DatapathError if another tool's XDP program is on the interface; then nothing has changed.
        """
        if self._link is None:
            self._link = self._inherited_link()
        if self._link is None:
            self._link = libbpf.create_xdp_link(program.fd, self.interface.index)
            self.is_new = True
            self._pins.pin("link", self._link)
        else:
            libbpf.update_link(self._link, program.fd)
        self._pins.pin_program(program)

    def _inherited_link(self) -> int | None:
        link = self._pins.open_link()
        if link is None:
            return None
        if libbpf.link_ifindex(link) == self.interface.index:
            return link
        os.close(link)  # of an interface that is gone, whose name was given anew
        return None

    def remove(self) -> None:
        """Detach the program and remove the pins."""
        if self._link is not None:
            libbpf.detach_link(self._link)
        self._pins.clear()
        self.leave()

    def leave(self) -> None:
        """Let go of the interface; what is attached and pinned stays and goes on working."""
        if self._link is not None:
            os.close(self._link)
            self._link = None
        self._pins.release()
