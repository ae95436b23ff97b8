# SPDX-License-Identifier: MIT
"""A program in the kernel with its maps: loaded, or adopted from a daemon that has ended."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from glb.datapath import identity as identities
from glb.datapath import libbpf
from glb.datapath.compiler import compiled
from glb.datapath.identity import Identity, program_digest
from glb.datapath.kernel import map_info, open_map, program_info
from glb.datapath.maps import Map, entry_bytes
from glb.datapath.spec import MapSpec, MapTypes, ProgramSpec, Type
from glb.errors import DatapathError
from glb.memory import shortage

LICENSE = "Dual MIT/GPL"

Constants = Mapping[str, int]
Records = Mapping[str, Type]
"""Names and types of userspace's records beside a program's maps: mmapable arrays of one entry."""


class LoadedProgram:
    """An XDP program in the kernel and its maps, by name. Closing it does not change what is pinned or attached."""

    def __init__(self, fd: int, identity: Identity, maps: Mapping[str, Map]) -> None:
        self.fd = fd
        self.name = identity.program
        self.constants = identity.constants
        self.maps = maps

    def view(self, map_name: str) -> "npt.NDArray[Any]":
        """The whole of a mmapable array, as Map.view."""
        return self.maps[map_name].view()

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.fd)
        for each in self.maps.values():
            each.close()


def load(name: str, constants: Constants, records: Records) -> LoadedProgram:
    """Compile bpf/xdp_<name>.c with the constants as macros, and load its function <name>, with records beside it.

    Raises DatapathError with the compiler's messages or the verifier's log.
    """
    spec = compiled(name, constants)
    lack = shortage(spec.nbytes, f"the maps of the program {name}")
    if lack is not None:
        raise DatapathError(lack)
    with ExitStack() as opened:
        fds = create_maps(opened, spec, spec.maps)
        program = _owned(opened, libbpf.load_xdp(name, spec.linked(fds), LICENSE))
        fds |= {record: _owned(opened, _create_record(record, kind)) for record, kind in records.items()}
        key = np.dtype(np.uint32)
        types = {map_name: each.types for map_name, each in spec.maps.items()}
        types |= {record: MapTypes(key, kind) for record, kind in records.items()}
        identity = Identity(name, program_digest(name, constants, records), constants, types)
        fds[identities.MAP_NAME] = _owned(opened, identities.create_map(identity))
        for fd in fds.values():
            libbpf.bind_map(program, fd)
        opened.pop_all()
    return LoadedProgram(program, identity, _maps(fds, identity))


def create_maps(opened: ExitStack, spec: ProgramSpec, names: Iterable[str]) -> dict[str, int]:
    """Create maps of a spec: their descriptors by name, which `opened` closes. Raises DatapathError."""
    with ExitStack() as needed:
        btf = _owned(needed, libbpf.load_btf(spec.btf)) if spec.btf else 0
        return {name: _owned(opened, _create(name, spec.maps[name], btf)) for name in names}


def _create(name: str, spec: MapSpec, btf: int) -> int:
    types = libbpf.MapBtf(btf, spec.btf_key, spec.btf_value) if spec.btf_value else None
    return libbpf.create_map(
        name, spec.kind, spec.value_size, spec.entries, spec.flags, key_size=spec.key_size, btf=types
    )


def adopt(
    fd: int, name: str, constants: Collection[str], records: Callable[[Constants], Records]
) -> LoadedProgram | None:
    """Take over a program that runs; it then owns `fd`. None, and `fd` is closed, if what `load` would make of the same
    constants is another one, or if it cannot be read what it is.

    constants: the names of those that `load` is given. records: what is kept beside a program with such constants.
    """
    with ExitStack() as opened:
        _owned(opened, fd)
        fds = {map_info(opened_map).name: opened_map for opened_map in _open_maps(opened, fd)}
        if identities.MAP_NAME not in fds:
            return None
        identity = identities.read_map(fds[identities.MAP_NAME])
        if identity is None or identity.program != name or identity.constants.keys() != set(constants):
            return None
        if identity.digest != program_digest(name, identity.constants, records(identity.constants)):
            return None
        if not _agree(fds, identity):
            return None
        opened.pop_all()
    return LoadedProgram(fd, identity, _maps(fds, identity))


def _agree(fds: Mapping[str, int], identity: Identity) -> bool:
    """Whether these are the maps that the identity describes."""
    if fds.keys() != {*identity.maps, identities.MAP_NAME}:
        return False
    sizes = {name: entry_bytes(map_info(fds[name])) for name in identity.maps}
    return sizes == {name: (types.key.itemsize, types.value.itemsize) for name, types in identity.maps.items()}


def _open_maps(opened: ExitStack, program: int) -> list[int]:
    return [_owned(opened, open_map(number)) for number in program_info(program).map_ids]


def _create_record(name: str, kind: Type) -> int:
    return libbpf.create_map(name, libbpf.BPF_MAP_TYPE_ARRAY, kind.itemsize, 1, libbpf.BPF_F_MMAPABLE)


def _maps(fds: Mapping[str, int], identity: Identity) -> dict[str, Map]:
    return {name: Map(fd, *identity.types_of(name)) for name, fd in fds.items()}


def _owned(stack: ExitStack, fd: int) -> int:
    """To be closed with the stack."""
    stack.callback(os.close, fd)
    return fd
