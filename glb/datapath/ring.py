# SPDX-License-Identifier: MIT
"""Reading BPF ring buffers, by libbpf."""

import ctypes as ct
import errno
from collections.abc import Callable, Sequence

from glb.datapath.libbpf import check, lib
from glb.errors import DatapathError

Take = Callable[[bytes], None]

_Callback = ct.CFUNCTYPE(ct.c_int, ct.c_void_p, ct.c_void_p, ct.c_size_t)

lib.ring_buffer__new.restype = ct.c_void_p
lib.ring_buffer__new.argtypes = (ct.c_int, _Callback, ct.c_void_p, ct.c_void_p)
lib.ring_buffer__add.argtypes = (ct.c_void_p, ct.c_int, _Callback, ct.c_void_p)
lib.ring_buffer__poll.argtypes = (ct.c_void_p, ct.c_int)
lib.ring_buffer__free.argtypes = (ct.c_void_p,)


class Rings:
    """Several ring buffers (BPF_MAP_TYPE_RINGBUF), waited for together; each record goes to its ring's `take`."""

    def __init__(self, rings: Sequence[tuple[int, Take]]) -> None:
        """rings: at least one, each a map's descriptor and who takes its records. Raises DatapathError."""
        self._callbacks = [_callback(take) for _, take in rings]  # libbpf does not keep them alive
        (first, _), *others = rings
        self._manager = lib.ring_buffer__new(first, self._callbacks[0], None, None)
        if not self._manager:
            raise DatapathError("a ring buffer cannot be read: libbpf does not open it")
        for (fd, _), callback in zip(others, self._callbacks[1:], strict=True):
            check(lib.ring_buffer__add(self._manager, fd, callback, None), "open of a ring buffer")

    def poll(self, seconds: float) -> None:
        """Hand on what is there; wait for it for so long at most."""
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
