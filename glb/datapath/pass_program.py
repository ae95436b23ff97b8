# SPDX-License-Identifier: MIT
"""The smallest XDP program, which lets every packet pass, for the other end of a veth.

A veth receives what its other end sends by XDP_TX or redirects to it only if it runs an XDP program itself. For an MTU
above one page the program must also accept packets in several buffers, as `libbpf.load_xdp` declares.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from glb.datapath import libbpf
from glb.datapath.kernel import open_program, program_info
from glb.errors import DatapathError
from glb.network.interface import Interface, xdp_attached

_NAME = "glb_pass"
_MOV64_IMMEDIATE = 0xB7
_EXIT = 0x95
_XDP_PASS = 2


def _instruction(code: int, immediate: int = 0) -> bytes:
    """One struct bpf_insn on register 0."""
    return struct.pack("=BBhi", code, 0, 0, immediate)


@contextmanager
def loaded() -> Iterator[int]:
    """The file descriptor of the loaded program. Raises DatapathError if the kernel does not load it."""
    instructions = _instruction(_MOV64_IMMEDIATE, _XDP_PASS) + _instruction(_EXIT)
    fd = libbpf.load_xdp(_NAME, instructions, "GPL")
    try:
        yield fd
    finally:
        os.close(fd)


def attach(interface: Interface) -> None:
    """Attach the program, unless it is there already. Raises DatapathError, also if another program is attached."""
    name = _attached_name(interface)
    if name == _NAME:
        return
    if name is not None:
        raise DatapathError(f"{interface.name} has another XDP program already, {name}, and needs no second one")
    with loaded() as program:
        libbpf.attach_xdp(interface.index, program)


def detach(interface: Interface) -> None:
    """Remove the program, if it is there. Raises DatapathError if another program is attached."""
    name = _attached_name(interface)
    if name not in (None, _NAME):
        raise DatapathError(f"{interface.name} has another XDP program, {name}; it is left as it is")
    if name is not None:
        libbpf.detach_xdp(interface.index)


def _attached_name(interface: Interface) -> str | None:
    attached = xdp_attached(interface)
    if attached is None:
        return None
    program = open_program(attached.program_id)
    try:
        return program_info(program).name
    finally:
        os.close(program)
