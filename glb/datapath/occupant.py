# SPDX-License-Identifier: MIT
"""An XDP program on an interface that glb is to use, and that this daemon did not find among its pins."""

import os

from glb.datapath.kernel import open_program, program_info, xdp_links
from glb.datapath.ownership import role_of
from glb.network.interface import Interface, xdp_attached


def occupant(interface: Interface) -> str | None:
    """What to tell of the program that is on the interface; None if there is none."""
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
            f"{interface.name} has a {role} of glb already (program {number}, {holder}), whose pins are not here but "
            "under another $GLB_PIN_DIR or in another mount namespace, such as a container's; start this daemon there, "
            f"or stop that {role} first"
        )
    by_name = f"ip link set dev {interface.name} {attached.mode} off"
    remedy = by_name if link is None else f"bpftool link detach id {link}"
    return (
        f"{interface.name} has another XDP program already, {name} (id {number}), which glb leaves alone; "
        f"if it is not needed any more, `{remedy}` removes it"
    )


def _link_of(program: int, interface: Interface) -> int | None:
    """The number of the link that holds the program there; None if it was attached without one."""
    links = (link for link in xdp_links() if (link.program_id, link.ifindex) == (program, interface.index))
    return next((link.id for link in links), None)
