# SPDX-License-Identifier: MIT
"""What the kernel itself knows of pins and attached programs; nothing of glb's own code is asked."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from pyroute2 import IPRoute

from glb.lab import Lab

_libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, bytes]]:
    """A descriptor of what is pinned, and the kernel's info about it."""
    fd = _libbpf.bpf_obj_get(str(path).encode())
    assert fd >= 0, f"{path}: {os.strerror(-fd)}"
    try:
        info = ctypes.create_string_buffer(256)
        size = ctypes.c_uint32(len(info))
        assert _libbpf.bpf_obj_get_info_by_fd(fd, info, ctypes.byref(size)) == 0
        yield fd, info.raw
    finally:
        os.close(fd)


def pinned_id(path: Path) -> int:
    """The kernel's number of a pinned program, map or link: each kind's info has it behind its type."""
    with _opened(path) as (_, info):
        (number,) = struct.unpack_from("=I", info, 4)
    return int(number)


def generation(path: Path) -> int:
    """Which generation of its maps a director uses, by its pinned `state`: each write of tables switches it."""
    with _opened(path) as (fd, info):
        (value_size,) = struct.unpack_from("=I", info, 12)
        value = ctypes.create_string_buffer(value_size)
        assert _libbpf.bpf_map_lookup_elem(fd, struct.pack("=I", 0), value) == 0
    return int.from_bytes(value.raw[:4], "little")


@contextmanager
def without_room(path: Path) -> Iterator[None]:
    """The kernel refuses further entries of a pinned LPM trie, which is full of strange ones."""
    with _opened(path) as (fd, info):
        key_size, value_size = struct.unpack_from("=II", info, 8)
        bits = struct.pack("=I", 8 * (key_size - 4))
        written: list[bytes] = []
        try:
            for number in count():
                key = bits + b"\xff" * (key_size - 8) + struct.pack("=I", number)
                if _libbpf.bpf_map_update_elem(fd, key, bytes(value_size), ctypes.c_uint64(0)) != 0:
                    break
                written.append(key)
            assert written
            yield
        finally:
            for key in written:
                _libbpf.bpf_map_delete_elem(fd, key)


def xdp_program(lab: Lab, host: str) -> int | None:
    """The number of the XDP program on a host's interface, None if there is none."""

    def look() -> int | None:
        with IPRoute() as ip:
            [link] = ip.get_links(ifname=host)
        xdp = link.get_attr("IFLA_XDP")
        return xdp.get_attr("IFLA_XDP_PROG_ID") if xdp else None

    return lab.within(host, look)


def plain(lab: Lab) -> bool:
    """Whether each datapath's own program is attached, and no capture's."""
    datapaths = [host.name for host in (*lab.directors, *lab.proxies)]
    return all(xdp_program(lab, host) == pinned_id(lab.pin_dir / host / "program") for host in datapaths)
