# SPDX-License-Identifier: MIT
"""The bench's own small XDP programs, loaded as glb loads its own, which a tail call between them needs."""

import ctypes as ct
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from glb.datapath import libbpf
from glb.datapath.source import kernel_headers

_FOLDER = Path(__file__).resolve().parent
_LICENSE = "Dual MIT/GPL"


class Programs:
    """The functions of one C file, each a loaded program, and the maps that they share."""

    def __init__(self, file: str, names: Iterable[str]) -> None:
        from bcc import BPF  # here, since it brings in all of LLVM

        with kernel_headers() as headers:
            self._bpf = BPF(text=(_FOLDER / file).read_bytes(), cflags=["-Wall", *headers])
        self.fds = {name: self._load(name) for name in names}

    def map(self, name: str) -> Any:
        """A map, as bcc's table object."""
        return self._bpf[name.encode()]

    def close(self) -> None:
        for fd in self.fds.values():
            os.close(fd)
        self._bpf.cleanup()

    def _load(self, name: str) -> int:
        from bcc import lib

        start = lib.bpf_function_start(self._bpf.module, name.encode())
        size = lib.bpf_function_size(self._bpf.module, name.encode())
        return libbpf.load_xdp(name, ct.string_at(start, size), _LICENSE)
