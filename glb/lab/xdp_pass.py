# SPDX-License-Identifier: MIT
"""The smallest XDP program, for the lab's bridge ports.

The other end of a veth receives packets sent by XDP_TX only if it runs an XDP program too. With an MTU of 9000, the
program must also be loaded with support for frames of several buffers.
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from glb.errors import LabError

_PROG_TYPE_XDP = 6
_ATTACH_TYPE_XDP = 37
_XDP_HAS_FRAGS = 1 << 5

_MOV64_IMMEDIATE = 0xB7
_EXIT = 0x95
_XDP_PASS = 2


class _LoadOptions(ctypes.Structure):
    """The start of libbpf's struct bpf_prog_load_opts; `sz` is the size that is set."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_int),
        ("prog_btf_fd", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
    )


def _instruction(code: int, immediate: int = 0) -> bytes:
    """One struct bpf_insn on register 0."""
    return struct.pack("=BBhi", code, 0, 0, immediate)


@contextmanager
def loaded() -> Iterator[int]:
    """The file descriptor of a loaded program that lets every packet pass.

    Raises LabError if the kernel does not load it.
    """
    instructions = _instruction(_MOV64_IMMEDIATE, _XDP_PASS) + _instruction(_EXIT)
    options = _LoadOptions(
        sz=ctypes.sizeof(_LoadOptions), expected_attach_type=_ATTACH_TYPE_XDP, prog_flags=_XDP_HAS_FRAGS
    )
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    fd = libbpf.bpf_prog_load(
        _PROG_TYPE_XDP,
        b"lab_pass",
        b"GPL",
        instructions,
        ctypes.c_size_t(len(instructions) // 8),
        ctypes.byref(options),
    )
    if fd < 0:
        raise LabError(f"the kernel does not load the lab's pass program: {os.strerror(-fd)}")
    try:
        yield fd
    finally:
        os.close(fd)
