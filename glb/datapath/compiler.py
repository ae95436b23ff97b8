"""bcc's part: from C source to instructions, and to the maps that these name."""

import ctypes as ct
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from glb.datapath.errors import DatapathError
from glb.datapath.headers import kernel_headers
from glb.datapath.identity import MapTypes, Type
from glb.datapath.source import read_source


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled source. maps: bcc's descriptors, by which the instructions name them; types: what is in them."""

    instructions: bytes
    maps: Mapping[str, int]
    types: Mapping[str, MapTypes]


@contextmanager
def compiled(name: str, constants: Mapping[str, int]) -> Iterator[Compiled]:
    """Compile bpf/xdp_<name>.c with the constants as macros; the descriptors are good as long as the context lasts.

    Raises DatapathError with the compiler's messages.
    """
    bpf = _compile(name, [f"-D{macro}={value}" for macro, value in constants.items()])
    try:
        tables = {table: bpf[table.encode()] for table in _map_names(bpf)}
        yield Compiled(
            _instructions(bpf, name),
            {table: found.map_fd for table, found in tables.items()},
            {table: MapTypes(np.dtype(found.Key), _value_type(found)) for table, found in tables.items()},
        )
    finally:
        bpf.cleanup()


def _value_type(table: Any) -> Type:
    """Bytes, for a per-CPU map, whose values bcc takes for arrays."""
    dtype = np.dtype(table.Leaf)
    return dtype if dtype.subdtype is None else np.dtype((np.void, dtype.itemsize))


def _compile(name: str, flags: list[str]) -> Any:
    from bcc import BPF  # here, since it brings in all of LLVM, which most commands do without

    text = read_source(f"xdp_{name}.c").encode()
    with kernel_headers() as headers, _captured_stderr() as messages:
        try:
            return BPF(text=text, cflags=["-Wall", *headers, *flags])
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
