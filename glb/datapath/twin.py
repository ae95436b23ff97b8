# SPDX-License-Identifier: MIT
"""A twin of a running program: the same source built with other constants, over the maps that are in use.

It can stand in the running program's place and do its work, and something more.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from glb.datapath import libbpf
from glb.datapath.compiler import compiled
from glb.datapath.maps import Map
from glb.datapath.program import LICENSE, LoadedProgram, create_maps
from glb.datapath.spec import ProgramSpec


@dataclass(frozen=True, slots=True)
class Twin:
    """A loaded twin, attached to nothing yet. `maps` are those that its original does not have."""

    original: LoadedProgram
    fd: int
    maps: Mapping[str, Map]

    def close(self) -> None:
        """Give up the descriptors; where the twin is attached, it stays."""
        os.close(self.fd)
        for each in self.maps.values():
            each.close()


def load_twins(originals: Iterable[LoadedProgram], constants: Mapping[str, int]) -> list[Twin]:
    """Build each original's source with further constants, and load it over the original's maps.

    Those that are alike are compiled once. Raises DatapathError if one does not compile, or the kernel refuses it.
    """
    alike: dict[tuple[object, ...], list[LoadedProgram]] = {}
    for original in originals:
        alike.setdefault((original.name, *sorted(original.constants.items())), []).append(original)
    with ExitStack() as loaded:
        twins = []
        for group in alike.values():
            spec = compiled(group[0].name, {**group[0].constants, **constants})
            for original in group:
                twins.append(_load(original, spec))
                loaded.callback(twins[-1].close)
        loaded.pop_all()
    return twins


def _load(original: LoadedProgram, spec: ProgramSpec) -> Twin:
    with ExitStack() as opened:
        own = create_maps(opened, spec, [name for name in spec.maps if name not in original.maps])
        fds = {name: own[name] if name in own else original.maps[name].fd for name in spec.maps}
        fd = libbpf.load_xdp(original.name, spec.linked(fds), LICENSE)
        opened.pop_all()
    return Twin(original, fd, {name: Map(own[name], *spec.maps[name].types) for name in own})
