# SPDX-License-Identifier: MIT
"""The proxy takes what the kernel's TCP takes for its connection: each state of a socket, each kind of segment."""

import socket
from collections.abc import Iterator
from itertools import count

import pytest

from glb.datapath.proxy import ProxyDatapath

from .harness import Kernel, proxy_comparison
from .proxy import Proxy
from .tcp_peer import ACK, FIN, PSH, RST, STATES, SYN, Wire, bring, wire
from .test_proxy import tunnelled

pytestmark = pytest.mark.usefixtures("own_sockets")

VIP, CLIENT = "203.0.113.10", "198.18.7.7"
FAR = 1 << 30
ports = count(20_000)

# Name: flags, how far from the number that is expected, data, how far the acknowledgement is from the right one.
SEGMENTS = {
    "SYN": (SYN, FAR, b"", 0),
    "SYN-ACK": (SYN | ACK, 0, b"", 0),
    "ACK": (ACK, 0, b"", 0),
    "ACK far above": (ACK, FAR, b"", 0),
    "ACK far below": (ACK, -FAR, b"", 0),
    "ACK of what was not sent": (ACK, 0, b"", 100_000),
    "keepalive": (ACK, -1, b"", 0),
    "data": (PSH | ACK, 0, b"data", 0),
    "data far above": (PSH | ACK, FAR, b"data", 0),
    "data far below": (PSH | ACK, -FAR, b"data", 0),
    "data out of order": (PSH | ACK, 1000, b"data", 0),
    "FIN": (FIN | ACK, 0, b"", 0),
    "FIN far above": (FIN | ACK, FAR, b"", 0),
    "RST": (RST, 0, b"", 0),
    "RST far above": (RST, FAR, b"", 0),
    "RST far below": (RST, -FAR, b"", 0),
}
ALL_STATES = ("none", "LISTEN", "FIN_WAIT2 closed", *STATES.values())


@pytest.fixture(scope="module")
def peers(own_sockets: None) -> Iterator[Wire]:
    with wire("198.18.7.0/24") as made:
        yield made


@pytest.fixture(scope="module")
def kernel(proxy: ProxyDatapath, own_sockets: None) -> Kernel:
    """With the settings of a model that knows no socket: what the program takes, sockets of the kernel take."""
    proxy_comparison(proxy, Kernel(proxy.program), Proxy())
    return Kernel(proxy.program)


def expected(state: str, kind: str) -> str:
    """The proxy's verdict by RFC 9293, 3.10.7, where a segment that is far from a window is none of the connection."""
    flags, off, _, acknowledged = SEGMENTS[kind]
    if flags == SYN:
        return "taken_syn"
    if state in ("none", "LISTEN"):
        return "forwarded"
    if state == "SYN_SENT":
        return "taken_established" if flags & ACK and not acknowledged else "forwarded"
    if abs(off) == FAR or (state == "TIME_WAIT" and off > 0) or (state == "SYN_RECV" and acknowledged):
        return "forwarded"
    return "taken_handshake" if state == "SYN_RECV" and flags & ~PSH == ACK else "taken_established"


@pytest.mark.parametrize("state", ALL_STATES)
def test_the_proxy_takes_what_the_kernels_tcp_takes_and_no_more(kernel: Kernel, peers: Wire, state: str) -> None:
    """The kernel takes a segment if it advances the connection. Segments of another connection it answers with a RST,
    or with an ACK of its own connection: those must be forwarded to the next hop."""
    for kind, (flags, off, data, acknowledged) in SEGMENTS.items():
        held: list[socket.socket] = []
        peer = bring(peers, state, VIP, CLIENT, next(ports), held)
        before = peer.state()
        assert before.split()[0] == state.split()[0].replace("LISTEN", "none")
        packet = peer.packet(flags, off, data, acknowledged)

        counted = kernel.run(tunnelled(4, packet)).counted
        answers = peer.answers_to(packet)

        story = f"{kind} in {before}: {counted}; the kernel answers {answers}, and is in {peer.state()}"
        assert counted == {expected(state, kind): 1}, story
        if peer.state() != before:
            assert all(verdict.startswith("taken_") for verdict in counted), f"less than the kernel: {story}"
        elif flags != SYN and any(answer.flags & RST for answer in answers):
            assert "forwarded" in counted, f"more than the kernel: {story}"
        for each in held:
            each.close()
