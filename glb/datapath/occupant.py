"""Another tool's XDP program on an interface that glb is to use: what it is, and how it is removed."""

import os

from glb.datapath.kernel import open_program, program_info, xdp_links
from glb.network.interface import Interface, xdp_attached


def occupant(interface: Interface) -> str | None:
    """What to tell of the program that is on the interface; None if there is none."""
    attached = xdp_attached(interface)
    if attached is None:
        return None
    fd = open_program(attached.program_id)
    try:
        name = program_info(fd).name
    finally:
        os.close(fd)
    link = _link_of(attached.program_id, interface)
    by_name = f"ip link set dev {interface.name} {attached.mode} off"
    remedy = by_name if link is None else f"bpftool link detach id {link}"
    return (
        f"{interface.name} has another XDP program already, {name} (id {attached.program_id}), which glb leaves alone; "
        f"if it is not needed any more, `{remedy}` removes it"
    )


def _link_of(program: int, interface: Interface) -> int | None:
    """The number of the link that holds the program there; None if it was attached without one."""
    links = (link for link in xdp_links() if (link.program_id, link.ifindex) == (program, interface.index))
    return next((link.id for link in links), None)
