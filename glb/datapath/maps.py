# SPDX-License-Identifier: MIT
"""One BPF map, read and written by what its keys and values look like in C."""

import mmap
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from glb.datapath import libbpf
from glb.datapath.kernel import MapInfo, map_info
from glb.errors import DatapathError

_ARRAY_ALIGNMENT = 8  # of the values of a BPF array, whatever their size
_PER_CPU_KINDS = (5, 6, 10)  # BPF_MAP_TYPE_PERCPU_HASH, _PERCPU_ARRAY, _LRU_PERCPU_HASH


def entry_bytes(info: MapInfo) -> tuple[int, int]:
    """How many bytes a key takes, and a value as the kernel copies it: of a per-CPU map that of all possible CPUs."""
    if info.kind not in _PER_CPU_KINDS:
        return info.key_size, info.value_size
    return info.key_size, _aligned(info.value_size) * libbpf.possible_cpus()


def _aligned(size: int) -> int:
    return -(-size // _ARRAY_ALIGNMENT) * _ARRAY_ALIGNMENT


class Map:
    """A map of a loaded program, by a descriptor that it owns.

    key, value: the C types as numpy knows them. The values of a per-CPU map are bytes: those of all possible CPUs in a
    row.
    """

    def __init__(self, fd: int, key: np.dtype[Any], value: np.dtype[Any]) -> None:
        self.fd = fd
        self.key = key
        self.value = value
        self.info: MapInfo = map_info(fd)

    def view(self) -> npt.NDArray[Any]:
        """The whole of a mmapable array: shape (entries,), dtype `value`; writes reach the kernel at once."""
        stride = _aligned(self.value.itemsize)
        length = self.info.entries * stride
        try:
            memory = mmap.mmap(self.fd, length)
        except OSError as error:
            raise DatapathError(f"mapping {length:,} bytes of the map {self.info.name}: {error.strerror}") from error
        return np.ndarray((self.info.entries,), self.value, memory, strides=(stride,))

    def __getitem__(self, key: Any) -> Any:
        """The value of a key that is there. key: what numpy takes for one."""
        return np.frombuffer(libbpf.lookup(self.fd, self._packed(key), self.value.itemsize), self.value)[0]

    def __setitem__(self, key: Any, value: Any) -> None:
        libbpf.update(self.fd, self._packed(key), np.array(value, self.value).tobytes())

    def __delitem__(self, key: Any) -> None:
        libbpf.delete(self.fd, self._packed(key))

    def __iter__(self) -> Iterator[Any]:
        """The keys that are there now, each once, unless it is changed meanwhile."""
        for key in libbpf.keys(self.fd, self.key.itemsize):
            yield np.frombuffer(key, self.key)[0]

    def close(self) -> None:
        os.close(self.fd)

    def _packed(self, key: Any) -> bytes:
        return np.array(key, self.key).tobytes()
