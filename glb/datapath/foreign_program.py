# SPDX-License-Identifier: MIT
"""The owner of an interface's attached XDP program: glb, of any version, or another tool.

A program of glb is recognised by its identity, a map that is bound to it, independent of pins.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack

from glb.datapath import libbpf
from glb.datapath.identity import MAP_NAME
from glb.datapath.kernel import map_info, open_map, open_program, program_info, program_numbers, share_maps, xdp_links
from glb.errors import DatapathError
from glb.network.interface import Interface, xdp_attached

ROLES = ("director", "proxy")


def role_of(program: int) -> str | None:
    """ "director" or "proxy" for a program of any version of glb; None for another tool's. program: a descriptor.

    A capture program has no identity: it uses the maps of a program that has one.
    """
    role = _own_role(program)
    if role is not None or program_info(program).name not in ROLES:
        return role
    return next(_roles_beside(program), None)


def role_of_number(number: int) -> str | None:
    """As role_of, for a program's number."""
    fd = open_program(number)
    try:
        return role_of(fd)
    finally:
        os.close(fd)


def _own_role(program: int) -> str | None:
    with ExitStack() as opened:
        for number in program_info(program).map_ids:
            fd = open_map(number)
            opened.callback(os.close, fd)
            info = map_info(fd)
            if info.name == MAP_NAME and (info.kind, info.key_size, info.entries) == (libbpf.BPF_MAP_TYPE_ARRAY, 4, 1):
                return _role_in(libbpf.lookup(fd, bytes(4), info.value_size))
    return None


def _role_in(identity: bytes) -> str | None:
    """The role in an identity of any version."""
    try:
        found = json.loads(identity.rstrip(b"\0"))
    except (ValueError, RecursionError):
        return None
    role = found.get("program") if isinstance(found, dict) else None
    return role if role in ROLES else None


def _roles_beside(program: int) -> Iterator[str]:
    for number in program_numbers():
        try:
            other = open_program(number)
        except DatapathError:
            continue  # removed meanwhile
        try:
            if share_maps(program, other) and (role := _own_role(other)) is not None:
                yield role
        finally:
            os.close(other)


def describe_foreign_program(interface: Interface) -> str | None:
    """The error message about the program that is attached to the interface; None if there is none."""
    attached = xdp_attached(interface)
    if attached is None:
        return None
    number = attached.program_id
    fd = open_program(number)
    try:
        name, role = program_info(fd).name, role_of(fd)
    finally:
        os.close(fd)
    link = _link_of(number, interface)
    if role is not None:
        holder = "no link" if link is None else f"link {link}"
        return (
            f"{interface.name} already has a {role} of glb (program {number}, {holder}) whose pins are under another "
            "$GLB_PIN_DIR or in another mount namespace, such as a container's; start this daemon there, "
            f"or stop that {role} first"
        )
    by_name = f"ip link set dev {interface.name} {attached.mode} off"
    remedy = by_name if link is None else f"bpftool link detach id {link}"
    return (
        f"{interface.name} has another XDP program already, {name} (id {number}), which glb does not replace; "
        f"if it is not needed any more, `{remedy}` removes it"
    )


def _link_of(program: int, interface: Interface) -> int | None:
    """The number of the link by which the program is attached; None if it was attached without one."""
    links = (link for link in xdp_links() if (link.program_id, link.ifindex) == (program, interface.index))
    return next((link.id for link in links), None)
