# SPDX-License-Identifier: MIT
"""A compiled program as pure data: instructions, and the definitions of its maps.

A spec outlives the process that compiled it: maps are created from it, and their descriptors are written into its
instructions.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

Type = np.dtype[Any]


class MapTypes(NamedTuple):
    """A map's key and value, as C declares them."""

    key: Type
    value: Type


def text_of_type(dtype: Type) -> Any:
    """A type as JSON: such as "<u4", or a list of fields, each a name, a type, and for an array a shape."""
    return np.lib.format.dtype_to_descr(dtype)


def type_of_text(text: Any) -> Type:
    """The type of such JSON, in which tuples have become lists."""
    found: Type = np.dtype(_field_types(text))
    return found


def _field_types(text: Any) -> Any:
    if isinstance(text, str):
        return text
    return [(name, _field_types(kind), *map(tuple, shape)) for name, kind, *shape in text]


# From the kernel's Documentation/bpf/standardization/instruction-set.rst: a 64-bit immediate, and the value of
# its source register for "the map with this descriptor".
_LOAD_IMMEDIATE = 0x18
_MAP_BY_DESCRIPTOR = 1
_ARRAY_ALIGNMENT = 8  # of the values of a BPF array, whatever their size
_PER_CPU_KINDS = (5, 6, 10)  # BPF_MAP_TYPE_PERCPU_HASH, _PERCPU_ARRAY, _LRU_PERCPU_HASH
_CLASS, _LOAD_MEMORY = 0x07, 0x01
_INSTRUCTION = np.dtype([("code", "u1"), ("registers", "u1"), ("offset", "<i2"), ("immediate", "<i4")])


@dataclass(frozen=True, slots=True)
class MapSpec:
    """The definition of a map. Sizes are in bytes; btf_key and btf_value are types in the program's BTF, 0: none."""

    kind: int
    key_size: int
    value_size: int
    entries: int
    flags: int
    btf_key: int
    btf_value: int
    types: MapTypes


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """instructions: those that load a map hold its position in `maps`. btf: of the maps' types; empty: none."""

    instructions: bytes
    maps: Mapping[str, MapSpec]
    btf: bytes

    @property
    def nbytes(self) -> int:
        """An upper bound of the memory of all maps' values, in bytes."""
        return sum(each.entries * each.types.value.itemsize for each in self.maps.values())

    def linked(self, descriptors: Mapping[str, int]) -> bytes:
        """The instructions with the descriptors of these maps, by name."""
        return with_maps(self.instructions, {place: descriptors[name] for place, name in enumerate(self.maps)})

    def enlarged(self, times: Mapping[str, int]) -> "ProgramSpec":
        """The same with the number of entries of these maps multiplied."""
        larger = {
            name: replace(self.maps[name], entries=self.maps[name].entries * factor) for name, factor in times.items()
        }
        return replace(self, maps={**self.maps, **larger})

    def with_offsets(self, offsets: Mapping[int, int]) -> "ProgramSpec":
        """The same with offsets replaced in the instructions that load from memory, by their present offset."""
        program = np.frombuffer(self.instructions, _INSTRUCTION).copy()
        for place in np.flatnonzero(_loads_memory(program)):
            old = int(program["offset"][place])
            program["offset"][place] = offsets.get(old, old)
        return replace(self, instructions=program.tobytes())

    def load_offsets(self) -> set[int]:
        """The offsets of the instructions that load from memory."""
        program = np.frombuffer(self.instructions, _INSTRUCTION)
        return set(program["offset"][_loads_memory(program)].tolist())

    def immediates(self) -> set[int]:
        """The offsets of all instructions."""
        return set(np.frombuffer(self.instructions, _INSTRUCTION)["immediate"].tolist())

    def on_cpus(self, cpus: int) -> "ProgramSpec":
        """The same on a host with so many possible CPUs: the values of a per-CPU map are bytes, those of all CPUs in a
        row."""
        maps = {
            name: replace(
                each,
                types=each.types._replace(value=np.dtype((np.void, value_bytes(each.kind, each.value_size, cpus)))),
            )
            for name, each in self.maps.items()
            if each.kind in _PER_CPU_KINDS
        }
        return replace(self, maps={**self.maps, **maps})

    def to_json(self) -> dict[str, Any]:
        """As JSON for `from_json`."""
        return {
            "instructions": base64.b64encode(self.instructions).decode(),
            "btf": base64.b64encode(self.btf).decode(),
            "maps": [[name, *_fields(spec)] for name, spec in self.maps.items()],
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "ProgramSpec":
        """Raises ValueError, TypeError or KeyError for anything that `to_json` does not give."""
        return cls(
            base64.b64decode(found["instructions"], validate=True),
            {name: _map_spec(*fields) for name, *fields in found["maps"]},
            base64.b64decode(found["btf"], validate=True),
        )


def aligned(size: int) -> int:
    """The bytes from one value of an array to the next."""
    return -(-size // _ARRAY_ALIGNMENT) * _ARRAY_ALIGNMENT


def value_bytes(kind: int, size: int, cpus: int) -> int:
    """The bytes that the kernel copies for a map's value: for a per-CPU map, the values of all possible CPUs."""
    return aligned(size) * cpus if kind in _PER_CPU_KINDS else size


def _loads_memory(program: Any) -> Any:
    return program["code"] & _CLASS == _LOAD_MEMORY


def with_maps(instructions: bytes, descriptors: Mapping[int, int]) -> bytes:
    """The instructions with maps replaced: by the values that instructions have before and after."""
    program = np.frombuffer(instructions, _INSTRUCTION).copy()
    loads_map = (program["code"] == _LOAD_IMMEDIATE) & (program["registers"] >> 4 == _MAP_BY_DESCRIPTOR)
    for place in np.flatnonzero(loads_map):
        old = int(program["immediate"][place])
        program["immediate"][place] = descriptors.get(old, old)
    return program.tobytes()


def _fields(spec: MapSpec) -> list[Any]:
    numbers = (spec.kind, spec.key_size, spec.value_size, spec.entries, spec.flags, spec.btf_key, spec.btf_value)
    return [*numbers, text_of_type(spec.types.key), text_of_type(spec.types.value)]


def _map_spec(*fields: Any) -> MapSpec:
    *numbers, key, value = fields
    kind, key_size, value_size, entries, flags, btf_key, btf_value = map(int, numbers)
    types = MapTypes(type_of_text(key), type_of_text(value))
    return MapSpec(kind, key_size, value_size, entries, flags, btf_key, btf_value, types)
