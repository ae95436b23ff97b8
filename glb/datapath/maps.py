# SPDX-License-Identifier: MIT
"""BPF maps and ring buffers, read and written by the C types of their entries."""

import ctypes as ct
import errno
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glb.datapath import libbpf
from glb.datapath.kernel import MapInfo, map_info
from glb.datapath.libbpf import check, lib
from glb.datapath.spec import aligned, value_bytes
from glb.errors import DatapathError


def entry_bytes(info: MapInfo) -> tuple[int, int]:
    """The bytes of a key, and of a value as the kernel copies it: for a per-CPU map, of all possible CPUs."""
    return info.key_size, value_bytes(info.kind, info.value_size, libbpf.possible_cpus())


class Map:
    """A map of a loaded program, by a descriptor that it owns.

    key, value: the C types as numpy knows them. The values of a per-CPU map are bytes: those of all possible CPUs, one
    after another.
    """

    def __init__(self, fd: int, key: np.dtype[Any], value: np.dtype[Any]) -> None:
        self.fd = fd
        self.key = key
        self.value = value
        self.info: MapInfo = map_info(fd)

    def view(self) -> npt.NDArray[Any]:
        """A whole mmapable array: shape (entries,), dtype `value`; writes take effect in the kernel at once."""
        stride = aligned(self.value.itemsize)
        length = self.info.entries * stride
        try:
            memory = mmap.mmap(self.fd, length)
        except OSError as error:
            raise DatapathError(f"mapping {length:,} bytes of the map {self.info.name}: {error.strerror}") from error
        return np.ndarray((self.info.entries,), self.value, memory, strides=(stride,))

    def __getitem__(self, key: Any) -> Any:
        """The value of an existing key. key: anything that numpy converts to the key's type."""
        return np.frombuffer(libbpf.lookup(self.fd, self._packed(key), self.value.itemsize), self.value)[0]

    def __setitem__(self, key: Any, value: Any) -> None:
        libbpf.update(self.fd, self._packed(key), np.array(value, self.value).tobytes())

    def __delitem__(self, key: Any) -> None:
        libbpf.delete(self.fd, self._packed(key))

    def __iter__(self) -> Iterator[Any]:
        """The present keys, each once, if the map is not changed meanwhile."""
        for key in libbpf.keys(self.fd, self.key.itemsize):
            yield np.frombuffer(key, self.key)[0]

    def close(self) -> None:
        os.close(self.fd)

    def _packed(self, key: Any) -> bytes:
        return np.array(key, self.key).tobytes()


Take = Callable[[bytes], None]

_Callback = ct.CFUNCTYPE(ct.c_int, ct.c_void_p, ct.c_void_p, ct.c_size_t)

lib.ring_buffer__new.restype = ct.c_void_p
lib.ring_buffer__new.argtypes = (ct.c_int, _Callback, ct.c_void_p, ct.c_void_p)
lib.ring_buffer__add.argtypes = (ct.c_void_p, ct.c_int, _Callback, ct.c_void_p)
lib.ring_buffer__poll.argtypes = (ct.c_void_p, ct.c_int)
lib.ring_buffer__free.argtypes = (ct.c_void_p,)


class Rings:
    """Several ring buffers (BPF_MAP_TYPE_RINGBUF), polled together; `take` of a ring is called with each record."""

    def __init__(self, rings: Sequence[tuple[int, Take]]) -> None:
        """rings: at least one, each a map's descriptor and the function for its records. Raises DatapathError."""
        self._callbacks = [_callback(take) for _, take in rings]  # libbpf does not keep them alive
        (first, _), *others = rings
        self._manager = lib.ring_buffer__new(first, self._callbacks[0], None, None)
        if not self._manager:
            raise DatapathError("a ring buffer cannot be read: libbpf does not open it")
        for (fd, _), callback in zip(others, self._callbacks[1:], strict=True):
            check(lib.ring_buffer__add(self._manager, fd, callback, None), "open of a ring buffer")

    def poll(self, seconds: float) -> None:
        """Process the records that are there; wait at most `seconds` for one."""
        polled = lib.ring_buffer__poll(self._manager, int(seconds * 1000))
        if polled < 0 and polled != -errno.EINTR:
            check(polled, "read of a ring buffer")

    def close(self) -> None:
        lib.ring_buffer__free(self._manager)


def _callback(take: Take) -> "ct._FuncPointer":
    def call(_: int, data: int, size: int) -> int:
        take(ct.string_at(data, size))
        return 0

    return _Callback(call)
