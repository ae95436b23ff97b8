# SPDX-License-Identifier: MIT
"""`glbctl xdp-pass`: what a veth's other end needs."""

from collections.abc import Callable
from typing import Annotated

import typer

from glb.ctl import complete
from glb.datapath import pass_program
from glb.network.interface import Interface, find_interface
from glb.network.namespaces import within

app = typer.Typer(help="An XDP program that passes every packet, for the other end of a veth.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(metavar="IFACE", autocompletion=complete.host_interfaces, help="The veth's other end.")
]
Namespace = Annotated[
    str | None,
    typer.Option("--netns", help="The network namespace of the interface: a name under /run/netns, or a path."),
]


@app.command()
def attach(iface: Name, netns: Namespace = None) -> None:
    """Attach a program that passes every packet to an interface.

    A veth receives the packets that glb sends from its other end only if it runs an XDP program itself. Where a
    director or a proxy runs in a container or a virtual network, attach this one to the host's end of the veth. It
    stays until `glbctl xdp-pass detach` or until the interface is removed. Real network cards do not need it.

    glbctl xdp-pass attach veth0
    """
    _on(iface, netns, pass_program.attach)


@app.command()
def detach(iface: Name, netns: Namespace = None) -> None:
    """Remove the program from an interface. Another program is left as it is.

    glbctl xdp-pass detach veth0
    """
    _on(iface, netns, pass_program.detach)


def _on(iface: str, netns: str | None, action: Callable[[Interface], None]) -> None:
    def act() -> None:
        action(find_interface(iface))

    act() if netns is None else within(netns, act)
