# SPDX-License-Identifier: MIT
"""A wire between two namespaces: packets go out at one end, and what the host at the other returns is counted."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Interface
from socket import if_nametoindex

from pyroute2 import IPRoute

from bench import frames, testrun
from bench.cases import Flows
from bench.harness import set_frame
from bench.programs import Programs
from glb.datapath import libbpf
from glb.lab import links, netns
from glb.network.namespaces import within

_NEAR, _HOST = "near", "host"
_NEAR_ADDRESS, _HOST_ADDRESS = IPv4Interface("10.9.0.1/24"), IPv4Interface("10.9.0.2/24")
_SETTLED_S = 0.02
_HOST_SETTINGS = {
    "net.ipv4.ip_forward": 1,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a burst of packets."""

    sent: int
    came_back: int
    seconds: float


class Wire:
    """Two namespaces and the veth between them; the near end sends, and counts what comes back."""

    def __init__(self, near: str, host: str, generator: Programs, ends: Programs) -> None:
        self._near = near
        self._host = host
        self._generator = generator
        self._ends = ends

    def program(self, name: str) -> int:
        """One of ends.c's, to attach at the host."""
        return self._ends.fds[name]

    @contextmanager
    def attached(self, program: int) -> Iterator[None]:
        """With an XDP program at the host's end."""
        link = within(self._host, lambda: libbpf.create_xdp_link(program, if_nametoindex(_HOST)))
        try:
            yield
        finally:
            os.close(link)

    def send(self, frame: bytes, flows: Flows, number: int) -> Sent:
        """Send so many packets as fast as they go."""
        set_frame(self._generator, frame, flows)
        before = self._received()
        begun = time.perf_counter()
        within(self._near, partial(self._send, frame, number))
        ended = time.perf_counter()
        came_back = self._received() - before
        while came_back < number:
            time.sleep(_SETTLED_S)
            late = self._received() - before
            if late == came_back:
                break
            came_back, ended = late, time.perf_counter()
        return Sent(number, came_back, ended - begun)

    def _send(self, frame: bytes, number: int) -> None:
        testrun.send(self._generator.fds["generate"], frame, if_nametoindex(_NEAR), number)

    def _received(self) -> int:
        return int(self._ends.map("received").sum(0).value)


@contextmanager
def wire() -> Iterator[Wire]:
    """Make the namespaces, and remove them in the end. The host forwards what no program takes, back to the sender."""
    near, host = (f"glb-bench-{os.getpid()}-{name}" for name in (_NEAR, _HOST))
    generator, ends = Programs("harness.c", ["generate"]), Programs("ends.c", ["count_and_drop", "reflect", "to_stack"])
    try:
        for name in (near, host):
            netns.create(name)
        netns.set_sysctls(host, _HOST_SETTINGS)
        links.add_veth(host, _HOST, frames.HOST_MAC, 1500, peer_namespace=near, peer=_NEAR)
        links.add_addresses(near, _NEAR, [_NEAR_ADDRESS])
        links.add_addresses(host, _HOST, [_HOST_ADDRESS])
        within(host, _route_back)
        sink = partial(_attach, ends.fds["count_and_drop"])
        link = within(near, sink)
        try:
            yield Wire(near, host, generator, ends)
        finally:
            os.close(link)
    finally:
        for name in (near, host):
            netns.remove(name)
        ends.close()
        generator.close()


def _attach(program: int) -> int:
    return libbpf.create_xdp_link(program, if_nametoindex(_NEAR))


def _route_back() -> None:
    """Routes to the VIPs by the sender, with a fixed neighbour entry."""
    gateway = str(_NEAR_ADDRESS.ip)
    with IPRoute() as ip:
        ip.neigh("add", dst=gateway, lladdr=frames.PEER_MAC, ifindex=if_nametoindex(_HOST), state="permanent")
        ip.route("add", dst=f"{frames.VIP4}/24", gateway=gateway)
