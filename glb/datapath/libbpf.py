# SPDX-License-Identifier: MIT
"""The few calls of libbpf that glb needs, by ctypes.

bcc compiles and creates maps; it offers neither program flags nor links nor test runs, which libbpf does. libbpf.so.1
is a dependency of libbpfcc, so it is there wherever bcc is. Structs follow libbpf's public bpf.h; it reads only as
much of each as `sz` says, so older and newer versions agree.
"""

import ctypes as ct
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from glb.errors import DatapathError, NotAllowedError

BPF_MAP_TYPE_ARRAY = 2
BPF_MAP_TYPE_ARRAY_OF_MAPS = 12
BPF_PROG_TYPE_XDP = 6
BPF_XDP = 37
BPF_F_XDP_HAS_FRAGS = 1 << 5
BPF_F_MMAPABLE = 1 << 10
_BPF_F_REPLACE = 1 << 2
_XDP_FLAGS_UPDATE_IF_NOEXIST = 1 << 0
_LOG_SIZE = 1 << 20
_ROOM_FOR_HEADERS = 256  # what a program may put in front of a frame: the kernel's headroom for XDP
_NEEDS = (
    "glb needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or CAP_SYS_ADMIN, in the host's user namespace: root has them "
    "unless a container, a service manager, a seccomp filter or the kernel's lockdown takes them away"
)
"""What the kernel requires for BPF (capabilities(7)); without it a call fails with EPERM."""


class _ProgLoadOpts(ct.Structure):
    _fields_ = (
        ("sz", ct.c_size_t),
        ("attempts", ct.c_int),
        ("expected_attach_type", ct.c_uint32),
        ("prog_btf_fd", ct.c_uint32),
        ("prog_flags", ct.c_uint32),
        ("prog_ifindex", ct.c_uint32),
        ("kern_version", ct.c_uint32),
        ("attach_btf_id", ct.c_uint32),
        ("attach_prog_fd", ct.c_uint32),
        ("attach_btf_obj_fd", ct.c_uint32),
        ("fd_array", ct.c_void_p),
        ("func_info", ct.c_void_p),
        ("func_info_cnt", ct.c_uint32),
        ("func_info_rec_size", ct.c_uint32),
        ("line_info", ct.c_void_p),
        ("line_info_cnt", ct.c_uint32),
        ("line_info_rec_size", ct.c_uint32),
        ("log_level", ct.c_uint32),
        ("log_size", ct.c_uint32),
        ("log_buf", ct.c_char_p),
    )


class _MapCreateOpts(ct.Structure):
    _fields_ = (
        ("sz", ct.c_size_t),
        ("btf_fd", ct.c_uint32),
        ("btf_key_type_id", ct.c_uint32),
        ("btf_value_type_id", ct.c_uint32),
        ("btf_vmlinux_value_type_id", ct.c_uint32),
        ("inner_map_fd", ct.c_uint32),
        ("map_flags", ct.c_uint32),
        ("map_extra", ct.c_uint64),
        ("numa_node", ct.c_uint32),
        ("map_ifindex", ct.c_uint32),
    )


class _LinkUpdateOpts(ct.Structure):
    _fields_ = (("sz", ct.c_size_t), ("flags", ct.c_uint32), ("old_prog_fd", ct.c_uint32))


class MapBtf(NamedTuple):
    """The types of a map's key and value, in a BTF given by its descriptor."""

    fd: int
    key: int
    value: int


class XdpMd(ct.Structure):
    """The kernel's struct xdp_md: what a program sees of its packet; offsets from the begin of the frame."""

    _fields_ = (
        ("data", ct.c_uint32),
        ("data_end", ct.c_uint32),
        ("data_meta", ct.c_uint32),
        ("ingress_ifindex", ct.c_uint32),
        ("rx_queue_index", ct.c_uint32),
        ("egress_ifindex", ct.c_uint32),
    )


class TestRunOpts(ct.Structure):
    """libbpf's struct bpf_test_run_opts."""

    __test__ = False  # pytest takes the name for a test's

    _fields_ = (
        ("sz", ct.c_size_t),
        ("data_in", ct.c_void_p),
        ("data_out", ct.c_void_p),
        ("data_size_in", ct.c_uint32),
        ("data_size_out", ct.c_uint32),
        ("ctx_in", ct.c_void_p),
        ("ctx_out", ct.c_void_p),
        ("ctx_size_in", ct.c_uint32),
        ("ctx_size_out", ct.c_uint32),
        ("retval", ct.c_uint32),
        ("repeat", ct.c_int),
        ("duration", ct.c_uint32),
        ("flags", ct.c_uint32),
        ("cpu", ct.c_uint32),
        ("batch_size", ct.c_uint32),
    )


try:
    lib = ct.CDLL("libbpf.so.1", use_errno=True)
except OSError as error:
    raise DatapathError(f"libbpf is missing ({error}): install python3-bpfcc") from error


def check(result: int, doing: str, hint: str = "") -> int:
    """Return the result of a libbpf call, or raise DatapathError if it is a negative errno."""
    if result >= 0:
        return result
    reason = os.strerror(-result)
    if -result == errno.EPERM:
        hint = "; ".join(filter(None, (_NEEDS, hint)))
    raise DatapathError(f"{doing}: {reason}" + (f" ({hint})" if hint else ""))


def load_xdp(name: str, instructions: bytes, license_name: str) -> int:
    """Load an XDP program that accepts frames in several buffers (jumbo); return its file descriptor.

    Raises DatapathError with the end of the verifier's log.
    """
    log = ct.create_string_buffer(_LOG_SIZE)
    opts = _ProgLoadOpts(
        sz=ct.sizeof(_ProgLoadOpts),
        expected_attach_type=BPF_XDP,
        prog_flags=BPF_F_XDP_HAS_FRAGS,
        log_size=_LOG_SIZE,
        log_buf=ct.cast(log, ct.c_char_p),
    )
    fd: int = lib.bpf_prog_load(
        BPF_PROG_TYPE_XDP,
        name.encode(),
        license_name.encode(),
        instructions,
        ct.c_size_t(len(instructions) // 8),
        ct.byref(opts),
    )
    return check(fd, f"load of the program {name}", log.value.decode(errors="replace").strip()[-2000:])


def create_xdp_link(program: int, ifindex: int) -> int:
    """Attach a program to an interface of this network namespace by a new link; return the link's descriptor.

    The kernel uses the driver's XDP, or generic XDP if the driver has none.
    """
    return check(lib.bpf_link_create(program, ifindex, BPF_XDP, None), "attach of the XDP program")


def attach_xdp(ifindex: int, program: int) -> None:
    """Attach a program to an interface without a link: it stays until it is detached, or the interface goes. Raises
    DatapathError, also if another program is attached."""
    check(lib.bpf_xdp_attach(ifindex, program, _XDP_FLAGS_UPDATE_IF_NOEXIST, None), "attach of the XDP program")


def detach_xdp(ifindex: int) -> None:
    """Remove what `attach_xdp` attached."""
    check(lib.bpf_xdp_detach(ifindex, 0, None), "detach of the XDP program")


def bind_map(program: int, map_fd: int) -> None:
    """Bind a map's lifetime to that of a program that does not use it."""
    check(lib.bpf_prog_bind_map(program, map_fd, None), "binding of a map to the program")


def update_link(link: int, program: int) -> None:
    """Replace a link's program; each packet is processed by exactly one of
    them."""
    check(lib.bpf_link_update(link, program, None), "replacement of the attached XDP program")


def exchange_in_link(link: int, expected: int, program: int) -> bool:
    """Replace the program of a link if it is the expected one; the kernel compares and replaces in one step.

    Returns False if it was another one, or if the link's interface is gone.
    """
    options = _LinkUpdateOpts(sz=ct.sizeof(_LinkUpdateOpts), flags=_BPF_F_REPLACE, old_prog_fd=expected)
    result = lib.bpf_link_update(link, program, ct.byref(options))
    if result in (-errno.EPERM, -errno.ENOLINK):
        return False
    check(result, "replacement of the attached XDP program")
    return True


def detach_link(link: int) -> None:
    """Take a link's program off its interface, even if other processes hold the link."""
    check(lib.bpf_link_detach(link), "detach of the XDP program")


def pin(fd: int, path: Path) -> None:
    """Pin a program, map or link in the BPF file system."""
    check(lib.bpf_obj_pin(fd, str(path).encode()), f"pin of {path}", "is the BPF file system mounted there?")


def open_pin(path: Path) -> int:
    """A new descriptor of the object pinned at path. Raises NotAllowedError if only root may open it."""
    fd = open_pin_if_there(path)
    return check(-errno.ENOENT if fd is None else fd, f"open of the pinned {path}")


def open_pin_if_there(path: Path) -> int | None:
    """As open_pin; None if nothing is pinned there."""
    result: int = lib.bpf_obj_get(str(path).encode())
    if result == -errno.ENOENT:
        return None
    if result in (-errno.EACCES, -errno.EPERM):
        raise NotAllowedError(f"{path}: {os.strerror(-result)} (root may read the datapath)")
    return check(result, f"open of the pinned {path}")


def lookup(map_fd: int, key: bytes, value_size: int) -> bytes:
    """The value of a map's key, for a per-CPU map the values of all possible CPUs in a row."""
    value = ct.create_string_buffer(value_size)
    check(lib.bpf_map_lookup_elem(map_fd, key, value), "read of a map")
    return value.raw


def lookup_if_there(map_fd: int, key: bytes, value_size: int) -> bytes | None:
    """As lookup; None if the map does not have the key."""
    value = ct.create_string_buffer(value_size)
    result = lib.bpf_map_lookup_elem(map_fd, key, value)
    if result == -errno.ENOENT:
        return None
    check(result, "read of a map")
    return value.raw


def create_map(
    name: str,
    map_type: int,
    value_size: int,
    entries: int,
    flags: int = 0,
    inner_map: int = 0,
    key_size: int = 4,
    btf: MapBtf | None = None,
) -> int:
    """A map; a map of maps holds maps like inner_map.

    Raises DatapathError, which names the required capabilities if the kernel does not permit it.
    """
    opts = _MapCreateOpts(sz=ct.sizeof(_MapCreateOpts), inner_map_fd=inner_map, map_flags=flags)
    if btf is not None:
        opts.btf_fd, opts.btf_key_type_id, opts.btf_value_type_id = btf
    fd: int = lib.bpf_map_create(map_type, name.encode(), key_size, value_size, entries, ct.byref(opts))
    return check(fd, f"creation of the map {name}")


def load_btf(data: bytes) -> int:
    """Load BTF into the kernel; returns its descriptor."""
    return check(lib.bpf_btf_load(data, ct.c_size_t(len(data)), None), "load of the maps' BTF")


def update(map_fd: int, key: bytes, value: bytes) -> None:
    """Set the value of a map's key."""
    check(lib.bpf_map_update_elem(map_fd, key, value, ct.c_uint64(0)), "update of a map")


def delete(map_fd: int, key: bytes) -> None:
    """Remove a key from a map."""
    check(lib.bpf_map_delete_elem(map_fd, key), "removal from a map")


def delete_if_there(map_fd: int, key: bytes) -> None:
    """Remove a key that the program may have removed meanwhile."""
    result = lib.bpf_map_delete_elem(map_fd, key)
    if result != -errno.ENOENT:
        check(result, "removal from a map")


def next_key(map_fd: int, key: bytes | None, key_size: int) -> bytes | None:
    """The key after a key, or the first one; None after the last."""
    following = ct.create_string_buffer(key_size)
    if lib.bpf_map_get_next_key(map_fd, key, following) == -errno.ENOENT:
        return None
    return following.raw


def keys(map_fd: int, key_size: int) -> Iterator[bytes]:
    """The present keys of a map, each once, if it is not changed meanwhile."""
    key = next_key(map_fd, None, key_size)
    while key is not None:
        yield key
        key = next_key(map_fd, key, key_size)


def possible_cpus() -> int:
    """The number of values of each key of a per-CPU map."""
    return check(lib.libbpf_num_possible_cpus(), "count of the CPUs")


def run_on_frame(program: int, frame: bytes, ifindex: int | None = None) -> tuple[int, bytes]:
    """Run an XDP program on a frame, without any network (BPF_PROG_TEST_RUN).

    Returns the XDP action and the frame as the program left it. The packet counts as received on the interface with
    this index, which must have an XDP program; None: on the loopback interface of this network namespace.
    """
    context = XdpMd(data_end=len(frame), ingress_ifindex=ifindex or 0)
    out = ct.create_string_buffer(len(frame) + _ROOM_FOR_HEADERS)
    opts = TestRunOpts(
        sz=ct.sizeof(TestRunOpts),
        data_in=ct.cast(ct.c_char_p(frame), ct.c_void_p),
        data_out=ct.cast(out, ct.c_void_p),
        data_size_in=len(frame),
        data_size_out=len(out),
        ctx_in=ct.cast(ct.byref(context), ct.c_void_p),
        ctx_size_in=ct.sizeof(context),
        repeat=1,
    )
    check(lib.bpf_prog_test_run_opts(program, ct.byref(opts)), "test run of the program")
    return opts.retval, out.raw[: opts.data_size_out]
