# SPDX-License-Identifier: MIT
"""Attachment of a program to its interface by a pinned link, so that it outlives the daemon.

The link is authoritative for what runs: it names its program, and the program its maps. All other pins follow it.
"""

import logging
import os
from enum import StrEnum

from glb.datapath import libbpf
from glb.datapath.foreign_program import describe_foreign_program
from glb.datapath.kernel import link_info, object_id, open_program, share_maps
from glb.datapath.pins import PinDir, attached_interfaces, pin_dir
from glb.datapath.program import LoadedProgram
from glb.errors import DatapathError
from glb.network.interface import Interface, xdp_attached

log = logging.getLogger(__name__)


def is_attached(interface: str) -> bool:
    """Whether the link that is pinned for an interface is still attached."""
    link = libbpf.open_pin_if_there(pin_dir(interface) / "link")
    if link is None:
        return False
    try:
        return link_info(link).ifindex != 0
    finally:
        os.close(link)


class ReattachCause(StrEnum):
    """Why a program was attached again."""

    CAME_BACK = "the interface exists again"
    TAKEN_OFF = "the program had been detached"
    FREED = "the other XDP program is gone from the interface"


class Attachment:
    """The link of one interface. Its program is replaced without a packet in between."""

    def __init__(self, interface: Interface) -> None:
        """Raises DatapathError if another daemon has the interface, or another tool's XDP program is on it."""
        self.interface = interface
        self._pins = PinDir(interface.name)
        try:
            self._link = self._inherited_link() or self._link_of_former_name()
            if self._link is None and (other := describe_foreign_program(interface)):
                raise DatapathError(other)
        except BaseException:
            self._pins.release()
            raise
        self._cause = ReattachCause.TAKEN_OFF
        self.is_new = False
        """Whether this process attached the program to an interface without one."""

    def running_program(self) -> int | None:
        """A descriptor of the program that an earlier daemon left attached, to be closed by the caller; None if there
        is none. If a killed capture has left its capture program attached, this is the original."""
        if self._link is None:
            return None
        attached, pinned = open_program(link_info(self._link).program_id), self._pins.open("program")
        if pinned is None:
            return attached
        ours, other = (pinned, attached) if share_maps(pinned, attached) else (attached, pinned)
        os.close(other)
        return ours

    def put(self, program: LoadedProgram) -> None:
        """Attach the program, or replace glb's attached one.

        Raises DatapathError if another tool's XDP program is on the interface; then nothing has changed.
        """
        if self._link is None:
            self._link = self._new_link(program)
        elif link_info(self._link).program_id != object_id(program.fd):
            libbpf.update_link(self._link, program.fd)
        self._pins.pin_program(program)

    def follow(self, interface: Interface, program: LoadedProgram) -> ReattachCause | None:
        """Attach the program again by a new link, if the old link has lost the interface. Returns the cause; None if
        the link was still attached. Raises DatapathError as `put`."""
        is_other = interface.index != self.interface.index
        self.interface = interface
        if self._link is not None:
            if link_info(self._link).ifindex == interface.index:
                return None
            os.close(self._link)
            self._link = None
            self._cause = ReattachCause.TAKEN_OFF
        if is_other:
            self._cause = ReattachCause.CAME_BACK
        self.put(program)
        return self._cause

    def remove(self) -> None:
        """Detach the program and remove the pins."""
        if self._link is not None:
            libbpf.detach_link(self._link)
        self._pins.clear()
        self.leave()

    def leave(self) -> None:
        """Release the interface; the program stays attached and pinned."""
        if self._link is not None:
            os.close(self._link)
            self._link = None
        self._pins.release()

    def _inherited_link(self) -> int | None:
        link = self._pins.open("link")
        if link is None:
            return None
        found = link_info(link)
        attached = xdp_attached(self.interface)
        if attached is not None and (attached.program_id, self.interface.index) == (found.program_id, found.ifindex):
            return link
        os.close(link)
        if found.ifindex == 0:  # of a removed interface; another has its name now
            return None
        raise DatapathError(
            f"{self._pins.path} has the pins of a datapath on another interface (index {found.ifindex}), in "
            "another network namespace or renamed since: give each network namespace its own $GLB_PIN_DIR, "
            "$GLB_RUN_DIR and $GLB_STATE_DIR; a daemon started for the renamed interface adopts its pins"
        )

    def _link_of_former_name(self) -> int | None:
        """The link that a daemon left on this interface under another name; its pins are renamed.

        Raises DatapathError if that daemon runs.
        """
        attached = xdp_attached(self.interface)
        if attached is None:
            return None
        for name in attached_interfaces():
            link = libbpf.open_pin_if_there(pin_dir(name) / "link")
            if link is None:
                continue
            found = link_info(link)
            if (found.program_id, found.ifindex) == (attached.program_id, self.interface.index):
                log.warning("%s: adopts the datapath of %s, the interface's former name", self.interface.name, name)
                self._pins.take(PinDir(name))
                return link
            os.close(link)
        return None

    def _new_link(self, program: LoadedProgram) -> int:
        try:
            link = libbpf.create_xdp_link(program.fd, self.interface.index)
        except DatapathError as error:
            other = describe_foreign_program(self.interface)
            if other is None:
                raise
            self._cause = ReattachCause.FREED
            raise DatapathError(other) from error
        self.is_new = True
        self._pins.pin("link", link)
        return link
