# SPDX-License-Identifier: MIT
"""Capture programs: an attached program's source compiled with reports of packets, loaded over the maps in use.

A capture program does all that the original does, so it can replace the original in its link for a while.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from glb.datapath import libbpf
from glb.datapath.compiler import compiled
from glb.datapath.kernel import link_info, object_id, open_program, share_maps
from glb.datapath.maps import Map
from glb.datapath.pins import open_pinned
from glb.datapath.program import LICENSE, LoadedProgram, create_maps
from glb.datapath.spec import ProgramSpec
from glb.errors import CaptureError


@dataclass(frozen=True, slots=True)
class CaptureProgram:
    """A loaded capture program, not attached yet. `maps` are those that its original does not have."""

    original: LoadedProgram
    fd: int
    maps: Mapping[str, Map]

    def close(self) -> None:
        """Close the descriptors; an attached program stays attached."""
        os.close(self.fd)
        for each in self.maps.values():
            each.close()


def capture_constants(constants: Mapping[str, int]) -> dict[str, int]:
    """The macros by which an original's source is compiled as its capture program on this host."""
    return {**constants, "CAPTURE": libbpf.possible_cpus()}


def load_capture_programs(originals: Iterable[LoadedProgram]) -> list[CaptureProgram]:
    """Build each original's source with CAPTURE, the number of CPUs, and load it over the original's maps.

    Originals of the same source and constants are compiled once. Raises DatapathError if one does not compile, or the
    kernel refuses it.
    """
    alike: dict[tuple[object, ...], list[LoadedProgram]] = {}
    for original in originals:
        alike.setdefault((original.name, *sorted(original.constants.items())), []).append(original)
    with ExitStack() as loaded:
        programs = []
        for group in alike.values():
            spec = compiled(group[0].name, capture_constants(group[0].constants))
            for original in group:
                programs.append(_load(original, spec))
                loaded.callback(programs[-1].close)
        loaded.pop_all()
    return programs


def _load(original: LoadedProgram, spec: ProgramSpec) -> CaptureProgram:
    with ExitStack() as opened:
        own = create_maps(opened, spec, [name for name in spec.maps if name not in original.maps])
        fds = {name: own[name] if name in own else original.maps[name].fd for name in spec.maps}
        fd = libbpf.load_xdp(original.name, spec.linked(fds), LICENSE)
        opened.pop_all()
    return CaptureProgram(original, fd, {name: Map(own[name], *spec.maps[name].types) for name in own})


class AttachPoint:
    """An interface's link, and the program that it held when the capture was prepared.

    While the capture programs are compiled, the daemon may attach another program. Then the capture program must not
    be attached: it would forward by tables that are not in force any more.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self._link = open_pinned(interface, "link")
        self._held = open_program(link_info(self._link).program_id)

    def attach(self, program: CaptureProgram) -> None:
        """Raises CaptureError if the link holds another program than at the start."""
        is_original = share_maps(self._held, program.original.fd)  # or the capture program of an earlier capture
        if not (is_original and libbpf.exchange_in_link(self._link, self._held, program.fd)):
            raise CaptureError(
                f"{self.interface}: the attached program has just been replaced; start the capture again"
            )

    def restore(self, program: CaptureProgram) -> None:
        """Attach the original again, if the capture program is still attached."""
        libbpf.exchange_in_link(self._link, program.fd, program.original.fd)

    def holds(self, program: CaptureProgram) -> bool:
        link = link_info(self._link)
        return link.ifindex != 0 and link.program_id == object_id(program.fd)

    def close(self) -> None:
        os.close(self._held)
        os.close(self._link)
