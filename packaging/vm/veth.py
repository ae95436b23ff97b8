# SPDX-License-Identifier: MIT
"""Prepare veth interfaces of this network namespace for XDP. Standard library only: this runs without glb.

usage: veth.py pass INTERFACE...        attach an XDP program that passes every frame, until the next boot: a veth drops
                                        what a program on its other end sends, unless it has one as well
       veth.py checksums INTERFACE...   compute checksums before sending, as packets from a wire have them: a program
                                        that encapsulates a packet keeps the checksum that it finds
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys

_SYS_BPF = 321  # x86-64
_PROG_LOAD, _OBJ_PIN, _LINK_CREATE = 5, 6, 28
_TYPE_XDP, _ATTACH_XDP = 6, 37
_PASS = struct.pack("=BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0)  # r0 = XDP_PASS; exit
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17

_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attributes: bytes) -> int:
    result = int(_libc.syscall(_SYS_BPF, command, attributes, len(attributes)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def attach_pass(interface: str) -> None:
    instructions, license_name = ctypes.create_string_buffer(_PASS), ctypes.create_string_buffer(b"MIT")
    addresses = ctypes.addressof(instructions), ctypes.addressof(license_name)
    program = bpf(_PROG_LOAD, struct.pack("=IIQQ", _TYPE_XDP, len(_PASS) // 8, *addresses).ljust(128, b"\0"))
    link = bpf(_LINK_CREATE, struct.pack("=IIII", program, socket.if_nametoindex(interface), _ATTACH_XDP, 0))
    path = ctypes.create_string_buffer(f"/sys/fs/bpf/pass-{interface}".encode())
    bpf(_OBJ_PIN, struct.pack("=QI", ctypes.addressof(path), link).ljust(16, b"\0"))


def compute_checksums(interface: str) -> None:
    setting = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_STXCSUM, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("=16sQ", interface.encode(), ctypes.addressof(setting)))


if __name__ == "__main__":
    for name in sys.argv[2:]:
        {"pass": attach_pass, "checksums": compute_checksums}[sys.argv[1]](name)
