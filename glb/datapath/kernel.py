# SPDX-License-Identifier: MIT
"""The programs, maps and links in the kernel, as the kernel describes them.

The structs are the first parts of libbpf's bpf_prog_info, bpf_map_info and bpf_link_info; the kernel fills in as much
as there is room for.
"""

import ctypes as ct
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from glb.datapath.libbpf import check, lib

_NAME_LENGTH = 16
_LINK_TYPE_XDP = 6


class _ProgramInfo(ct.Structure):
    _fields_ = (
        ("type", ct.c_uint32),
        ("id", ct.c_uint32),
        ("tag", ct.c_uint8 * 8),
        ("jited_prog_len", ct.c_uint32),
        ("xlated_prog_len", ct.c_uint32),
        ("jited_prog_insns", ct.c_uint64),
        ("xlated_prog_insns", ct.c_uint64),
        ("load_time", ct.c_uint64),
        ("created_by_uid", ct.c_uint32),
        ("nr_map_ids", ct.c_uint32),
        ("map_ids", ct.c_uint64),
        ("name", ct.c_char * _NAME_LENGTH),
    )


class _MapInfo(ct.Structure):
    _fields_ = (
        ("type", ct.c_uint32),
        ("id", ct.c_uint32),
        ("key_size", ct.c_uint32),
        ("value_size", ct.c_uint32),
        ("max_entries", ct.c_uint32),
        ("map_flags", ct.c_uint32),
        ("name", ct.c_char * _NAME_LENGTH),
        ("ifindex", ct.c_uint32),
        ("btf_vmlinux_value_type_id", ct.c_uint32),
        ("netns_dev", ct.c_uint64),
        ("netns_ino", ct.c_uint64),
        ("btf_id", ct.c_uint32),
        ("btf_key_type_id", ct.c_uint32),
        ("btf_value_type_id", ct.c_uint32),
    )


class _BtfInfo(ct.Structure):
    """The kernel's struct bpf_btf_info."""

    _fields_ = (("btf", ct.c_uint64), ("btf_size", ct.c_uint32), ("id", ct.c_uint32))


class _LinkInfo(ct.Structure):
    """The kernel's struct bpf_link_info with its XDP part."""

    _fields_ = (
        ("type", ct.c_uint32),
        ("id", ct.c_uint32),
        ("prog_id", ct.c_uint32),
        ("padding", ct.c_uint32),
        ("ifindex", ct.c_uint32),
        ("rest", ct.c_uint8 * 108),
    )


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """A program: its name, and the maps that live as long as it does."""

    id: int
    name: str
    map_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MapInfo:
    """A map: the sizes of a key and of a value in bytes, as it was created.

    btf: the number of the BTF that describes its types, 0: none; btf_key and btf_value are types in it.
    """

    id: int
    name: str
    kind: int
    key_size: int
    value_size: int
    entries: int
    flags: int
    btf: int
    btf_key: int
    btf_value: int


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """An XDP link: the program that it holds, and the interface. ifindex is 0 if the interface is gone."""

    id: int
    program_id: int
    ifindex: int


def program_info(fd: int) -> ProgramInfo:
    found = _ProgramInfo()
    _fill(fd, found)
    ids = (ct.c_uint32 * found.nr_map_ids)()
    answer = _ProgramInfo(nr_map_ids=len(ids), map_ids=ct.addressof(ids))
    _fill(fd, answer)
    return ProgramInfo(answer.id, answer.name.decode(), tuple(ids))


def map_info(fd: int) -> MapInfo:
    found = _MapInfo()
    _fill(fd, found)
    return MapInfo(
        id=found.id,
        name=found.name.decode(),
        kind=found.type,
        key_size=found.key_size,
        value_size=found.value_size,
        entries=found.max_entries,
        flags=found.map_flags,
        btf=found.btf_id,
        btf_key=found.btf_key_type_id,
        btf_value=found.btf_value_type_id,
    )


def btf_data(number: int) -> bytes:
    """The BTF of this number, as it was loaded."""
    fd = check(lib.bpf_btf_get_fd_by_id(number), f"open of the BTF {number}")
    try:
        found = _BtfInfo()
        _fill(fd, found)
        data = (ct.c_uint8 * found.btf_size)()
        _fill(fd, _BtfInfo(btf=ct.addressof(data), btf_size=len(data)))
    finally:
        os.close(fd)
    return bytes(data)


def link_info(fd: int) -> LinkInfo:
    found = _LinkInfo()
    _fill(fd, found)
    return LinkInfo(found.id, found.prog_id, found.ifindex)


def object_id(fd: int) -> int:
    """The number of a program, map or link: the structs of all three have it at the same offset."""
    found = _LinkInfo()
    _fill(fd, found)
    return int(found.id)


def share_maps(one: int, other: int) -> bool:
    """Whether two programs use the same maps, as only a program and its capture program do."""
    return not set(program_info(one).map_ids).isdisjoint(program_info(other).map_ids)


def open_program(number: int) -> int:
    """A descriptor of the program of this number."""
    return check(lib.bpf_prog_get_fd_by_id(number), f"open of the program {number}")


def open_map(number: int) -> int:
    """A descriptor of the map of this number."""
    return check(lib.bpf_map_get_fd_by_id(number), f"open of the map {number}")


def program_numbers() -> Iterator[int]:
    """The numbers of all programs that are loaded."""
    return _numbers(lib.bpf_prog_get_next_id)


def xdp_links() -> Iterator[LinkInfo]:
    """The XDP links of all network namespaces: an ifindex alone does not identify the interface."""
    for number in _numbers(lib.bpf_link_get_next_id):
        fd = lib.bpf_link_get_fd_by_id(number)
        if fd < 0:
            continue  # removed meanwhile
        try:
            found = _LinkInfo()
            _fill(fd, found)
            if found.type == _LINK_TYPE_XDP:
                yield LinkInfo(found.id, found.prog_id, found.ifindex)
        finally:
            os.close(fd)


def _numbers(following: Callable[..., int]) -> Iterator[int]:
    number = ct.c_uint32(0)
    while following(number, ct.byref(number)) == 0:
        yield number.value


def _fill(fd: int, info: ct.Structure) -> None:
    size = ct.c_uint32(ct.sizeof(info))
    check(lib.bpf_obj_get_info_by_fd(fd, ct.byref(info), ct.byref(size)), "query of a program, map or link")
