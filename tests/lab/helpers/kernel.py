"""What the kernel itself knows of pins and attached programs; nothing of glb's own code is asked."""

import ctypes
import os
import struct
from pathlib import Path

from pyroute2 import IPRoute

from glb.lab import Lab

_libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)


def pinned_id(path: Path) -> int:
    """The kernel's number of a pinned program, map or link: each kind's info has it behind its type."""
    fd = _libbpf.bpf_obj_get(str(path).encode())
    assert fd >= 0, f"{path}: {os.strerror(-fd)}"
    try:
        info = ctypes.create_string_buffer(256)
        size = ctypes.c_uint32(len(info))
        assert _libbpf.bpf_obj_get_info_by_fd(fd, info, ctypes.byref(size)) == 0
        (number,) = struct.unpack_from("=I", info.raw, 4)
        return int(number)
    finally:
        os.close(fd)


def xdp_program(lab: Lab, host: str) -> int | None:
    """The number of the XDP program on a host's interface, None if there is none."""

    def look() -> int | None:
        with IPRoute() as ip:
            [link] = ip.get_links(ifname=host)
        xdp = link.get_attr("IFLA_XDP")
        return xdp.get_attr("IFLA_XDP_PROG_ID") if xdp else None

    return lab.within(host, look)
