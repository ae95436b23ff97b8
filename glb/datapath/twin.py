"""A twin of a running program: the same source built with other constants, over the maps that are in use.

It can stand in the running program's place and do its work, and something more.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from glb.datapath import libbpf
from glb.datapath.compiler import Compiled, compiled
from glb.datapath.kernel import MapInfo, map_info
from glb.datapath.maps import Map
from glb.datapath.program import LICENSE, Program

# From the kernel's Documentation/bpf/standardization/instruction-set.rst: a 64-bit immediate, and its source register's
# meaning "the map of this descriptor".
_LOAD_IMMEDIATE = 0x18
_MAP_BY_DESCRIPTOR = 1
_INSTRUCTION = np.dtype([("code", "u1"), ("registers", "u1"), ("offset", "<i2"), ("immediate", "<i4")])


@dataclass(frozen=True, slots=True)
class Twin:
    """A loaded twin, attached to nothing yet. `maps` are those that its original does not have."""

    original: Program
    fd: int
    maps: Mapping[str, Map]

    def close(self) -> None:
        """Give up the descriptors; where the twin is attached, it stays."""
        os.close(self.fd)
        for each in self.maps.values():
            each.close()


def load_twins(originals: Iterable[Program], constants: Mapping[str, int]) -> list[Twin]:
    """Build each original's source with further constants, and load it over the original's maps.

    Those that are alike are compiled once. Raises DatapathError if one does not compile, or the kernel refuses it.
    """
    alike: dict[tuple[object, ...], list[Program]] = {}
    for original in originals:
        alike.setdefault((original.name, *sorted(original.constants.items())), []).append(original)
    with ExitStack() as loaded:
        twins = []
        for group in alike.values():
            with compiled(group[0].name, {**group[0].constants, **constants}) as made:
                for original in group:
                    twins.append(_load(original, made))
                    loaded.callback(twins[-1].close)
        loaded.pop_all()
    return twins


def _load(original: Program, made: Compiled) -> Twin:
    with ExitStack() as opened:
        maps = {}
        for name, fd in made.maps.items():
            if name not in original.maps:
                maps[name] = Map(_create_like(map_info(fd)), *made.types[name])
                opened.callback(maps[name].close)
        fds = {fd: {**original.maps, **maps}[name].fd for name, fd in made.maps.items()}
        twin = Twin(original, libbpf.load_xdp(original.name, with_maps(made.instructions, fds), LICENSE), maps)
        opened.pop_all()
    return twin


def _create_like(info: MapInfo) -> int:
    return libbpf.create_map(info.name, info.kind, info.value_size, info.entries, key_size=info.key_size)


def with_maps(instructions: bytes, descriptors: Mapping[int, int]) -> bytes:
    """The same instructions with other maps in the place of those in `descriptors`, both by descriptor."""
    program = np.frombuffer(instructions, _INSTRUCTION).copy()
    loads_map = (program["code"] == _LOAD_IMMEDIATE) & (program["registers"] >> 4 == _MAP_BY_DESCRIPTOR)
    for place in np.flatnonzero(loads_map):
        old = int(program["immediate"][place])
        program["immediate"][place] = descriptors.get(old, old)
    return program.tobytes()
