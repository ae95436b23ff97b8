# SPDX-License-Identifier: MIT
"""The offsets of members of the running kernel's structs, by the kernel's BTF.

BTF: the kernel's Documentation/bpf/btf.rst; libbpf's btf.h reads it. bcc does not resolve members of kernel structs in
an XDP program, so it gets their offsets as constants.
"""

import ctypes as ct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from glb.datapath.libbpf import check, lib
from glb.errors import DatapathError

_KIND_STRUCT = 4
_BITFIELDS = 1 << 31  # of btf_type.info: members' offsets hold a bit field's size as well
_NUM_MEMBERS = 0xFFFF
_BIT_OFFSET = 0xFFFFFF


class _Type(ct.Structure):
    """The kernel's struct btf_type; behind a struct's, its members follow."""

    _fields_ = (("name", ct.c_uint32), ("info", ct.c_uint32), ("size", ct.c_uint32))


class _Member(ct.Structure):
    """The kernel's struct btf_member; the offset is in bits."""

    _fields_ = (("name", ct.c_uint32), ("type", ct.c_uint32), ("offset", ct.c_uint32))


lib.btf__load_vmlinux_btf.restype = ct.c_void_p
lib.btf__free.argtypes = (ct.c_void_p,)
lib.btf__find_by_name_kind.argtypes = (ct.c_void_p, ct.c_char_p, ct.c_uint32)
lib.btf__type_by_id.argtypes = (ct.c_void_p, ct.c_uint32)
lib.btf__type_by_id.restype = ct.POINTER(_Type)
lib.btf__name_by_offset.argtypes = (ct.c_void_p, ct.c_uint32)
lib.btf__name_by_offset.restype = ct.c_char_p


SOCKET_MEMBERS = {
    "REQUEST_SNT_ISN": ("tcp_request_sock", "snt_isn"),
    "REQUEST_RCV_NXT": ("tcp_request_sock", "rcv_nxt"),
    "TIME_WAIT_RCV_NXT": ("sock_common", "skc_tw_rcv_nxt"),  # which tcp_timewait_sock begins with
    "TIME_WAIT_RCV_WND": ("tcp_timewait_sock", "tw_rcv_wnd"),
    "TIME_WAIT_SUBSTATE": ("inet_timewait_sock", "tw_substate"),  # which it begins with, too
    "CONNECTION_RCV_NXT": ("tcp_sock", "rcv_nxt"),
    "CONNECTION_WINDOW_CLAMP": ("tcp_sock", "window_clamp"),
    "CONNECTION_SND_UNA": ("tcp_sock", "snd_una"),
    "CONNECTION_SND_NXT": ("tcp_sock", "snd_nxt"),
}
"""The members of the kernel's sockets that the proxy's program reads: by the macro of the offset, struct and member."""


def member_offsets(members: Mapping[str, tuple[str, str]]) -> dict[str, int]:
    """Bytes from the start of a struct of the running kernel to one of its own members, for each name.

    members: struct and member by name; a member of an unnamed struct or union in the struct counts as its own. Raises
    DatapathError where the kernel does not describe its types, or not these.
    """
    with _kernel_types() as types:  # several MiB, which are read once for all
        return {name: _offset(types, struct, member) for name, (struct, member) in members.items()}


def _offset(types: int, struct: str, member: str) -> int:
    number = lib.btf__find_by_name_kind(types, struct.encode(), _KIND_STRUCT)
    check(number, f"search for the kernel's struct {struct}")
    bits = dict(_named_members(types, number)).get(member)
    if bits is None:
        raise DatapathError(f"the kernel's struct {struct} has no member {member}")
    return bits // 8


@contextmanager
def _kernel_types() -> Iterator[int]:
    types = lib.btf__load_vmlinux_btf()
    if not types:
        raise DatapathError(
            "the kernel does not describe its types (no /sys/kernel/btf/vmlinux): the proxy needs one built with "
            "CONFIG_DEBUG_INFO_BTF, as distributions' kernels are"
        )
    try:
        yield types
    finally:
        lib.btf__free(types)


def _named_members(types: int, number: int) -> Iterator[tuple[str, int]]:
    """Names and offsets in bits."""
    kind = lib.btf__type_by_id(types, number)
    for member in _members(kind):
        offset = member.offset & _BIT_OFFSET if kind.contents.info & _BITFIELDS else member.offset
        name = lib.btf__name_by_offset(types, member.name).decode()
        if name:
            yield name, offset
        else:
            yield from ((inner, offset + further) for inner, further in _named_members(types, member.type))


def _members(kind: "ct._Pointer[_Type]") -> "ct.Array[_Member]":
    behind = ct.addressof(kind.contents) + ct.sizeof(_Type)
    members: ct.Array[_Member] = (_Member * (kind.contents.info & _NUM_MEMBERS)).from_address(behind)
    return members
