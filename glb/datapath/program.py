"""From C source to a loaded program with its maps."""

import ctypes as ct
import mmap
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from glb.datapath import libbpf
from glb.datapath.errors import DatapathError
from glb.datapath.headers import kernel_headers
from glb.datapath.source import read_source

LICENSE = "Dual MIT/GPL"
_ARRAY_ALIGNMENT = 8  # of the values of a BPF array, whatever their size


class Program:
    """A loaded XDP program and its maps, by name.

    The maps are bcc's table objects: their Key and Leaf are the C declarations as ctypes, which have no second
    definition in Python. Closing a program leaves alone what is pinned or attached.
    """

    def __init__(self, name: str, fd: int, bpf: Any) -> None:
        self.name = name
        self.fd = fd
        self._bpf = bpf
        self.maps: Mapping[str, Any] = {map_name: bpf[map_name.encode()] for map_name in _map_names(bpf)}

    def view(self, map_name: str) -> "np.ndarray[Any, Any]":
        """The whole of a mmapable array: shape (entries,), dtype of its C struct; writes reach the kernel at once."""
        table = self.maps[map_name]
        dtype = np.dtype(table.Leaf)
        stride = -(-dtype.itemsize // _ARRAY_ALIGNMENT) * _ARRAY_ALIGNMENT
        memory = mmap.mmap(table.map_fd, table.max_entries * stride)
        return np.ndarray((table.max_entries,), dtype, memory, strides=(stride,))

    def close(self) -> None:
        """Give up the descriptors."""
        os.close(self.fd)
        self._bpf.cleanup()


def load(name: str, constants: Mapping[str, int]) -> Program:
    """Compile bpf/xdp_<name>.c with the constants as macros, and load its function <name>.

    Raises DatapathError with the compiler's messages or the verifier's log.
    """
    bpf = _compile(name, [f"-D{macro}={value}" for macro, value in constants.items()])
    try:
        fd = libbpf.load_xdp(name, _instructions(bpf, name), LICENSE)
    except DatapathError:
        bpf.cleanup()
        raise
    return Program(name, fd, bpf)


def _compile(name: str, flags: list[str]) -> Any:
    from bcc import BPF  # here, since it brings in all of LLVM, which most commands do without

    text = read_source(f"xdp_{name}.c").encode()
    with kernel_headers(), _captured_stderr() as messages:
        try:
            return BPF(text=text, cflags=["-Wall", *flags])
        except Exception as error:  # bcc has no type of its own
            messages.seek(0)
            said = messages.read().decode(errors="replace").strip()
            raise DatapathError(f"compile of xdp_{name}.c: {error}\n{said}".strip()) from error


def _instructions(bpf: Any, name: str) -> bytes:
    from bcc import lib

    start = lib.bpf_function_start(bpf.module, name.encode())
    return ct.string_at(start, lib.bpf_function_size(bpf.module, name.encode()))


def _map_names(bpf: Any) -> list[str]:
    from bcc import lib

    # The two functions of libbcc here that bcc's Python does not declare.
    lib.bpf_num_tables.restype = ct.c_size_t
    lib.bpf_num_tables.argtypes = (ct.c_void_p,)
    lib.bpf_table_name.restype = ct.c_char_p
    lib.bpf_table_name.argtypes = (ct.c_void_p, ct.c_size_t)
    return [lib.bpf_table_name(bpf.module, i).decode() for i in range(lib.bpf_num_tables(bpf.module))]


@contextmanager
def _captured_stderr() -> Iterator[BinaryIO]:
    """Divert what the compiler, which is C++ in this process, writes to descriptor 2."""
    with tempfile.TemporaryFile() as messages:
        kept = os.dup(2)
        os.dup2(messages.fileno(), 2)
        try:
            yield messages
        finally:
            os.dup2(kept, 2)
            os.close(kept)
