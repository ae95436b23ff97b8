# SPDX-License-Identifier: MIT
"""Attach an XDP program that passes every frame to interfaces of this network namespace, until the next boot.

usage: xdp_pass.py INTERFACE...

A veth drops what an XDP program on its other end sends, unless it has one of its own. Standard library only: this runs
before glb is installed, where `glbctl lab xdp-pass` would do the same.
"""

import ctypes
import os
import socket
import struct
import sys

_SYS_BPF = 321  # x86-64
_PROG_LOAD, _OBJ_PIN, _LINK_CREATE = 5, 6, 28
_TYPE_XDP, _ATTACH_XDP = 6, 37
_PASS = struct.pack("=BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0)  # r0 = XDP_PASS; exit

_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attributes: bytes) -> int:
    result = int(_libc.syscall(_SYS_BPF, command, attributes, len(attributes)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def main() -> None:
    instructions, license_name = ctypes.create_string_buffer(_PASS), ctypes.create_string_buffer(b"MIT")
    addresses = ctypes.addressof(instructions), ctypes.addressof(license_name)
    program = bpf(_PROG_LOAD, struct.pack("=IIQQ", _TYPE_XDP, len(_PASS) // 8, *addresses).ljust(128, b"\0"))
    for interface in sys.argv[1:]:
        link = bpf(_LINK_CREATE, struct.pack("=IIII", program, socket.if_nametoindex(interface), _ATTACH_XDP, 0))
        path = ctypes.create_string_buffer(f"/sys/fs/bpf/pass-{interface}".encode())
        bpf(_OBJ_PIN, struct.pack("=QI", ctypes.addressof(path), link).ljust(16, b"\0"))


if __name__ == "__main__":
    main()
