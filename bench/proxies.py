# SPDX-License-Identifier: MIT
"""The proxy, and the packets to measure it with."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from ipaddress import IPv4Address, IPv4Network

from scapy.layers.inet import IP, TCP
from scapy.packet import Packet, Raw

from bench import frames
from bench.cases import Case, FrameSource, Harness
from bench.sockets import CLIENT, SERVER, Sockets, sockets
from glb.datapath.program import LoadedProgram
from glb.datapath.proxy import ProxyDatapath

ESTABLISHED = "proxy: established"
LOOKED_UP = "proxy: FIN, socket lookup"
_STRANGER = "198.18.0.1"
_PEERS = (frames.NEXT, frames.LAST)
_DIRECTORS = IPv4Network("10.0.0.0/24")


@contextmanager
def cases() -> Iterator[list[Case]]:
    """The cases of the proxy; their sockets exist within the context."""
    with sockets() as there, closing(_proxy()) as open_to_all, closing(_proxy(_DIRECTORS)) as strict:
        yield [*_cases(there, open_to_all.program), _checked(there, strict.program)]


def _proxy(*sources: IPv4Network) -> ProxyDatapath:
    """As its daemon sets it up: with its own address and the next hops to its peers."""
    datapath = ProxyDatapath.load()
    datapath.write(
        macs=[frames.mac(frames.HOST_MAC)],
        places={IPv4Network(SERVER): True, IPv4Network(frames.PROXY): False},
        sources=sources,
        hops=[_DIRECTORS],
        addresses=[IPv4Address(frames.PROXY)],
    )
    datapath.write_next_hops({IPv4Address(peer): frames.mac(frames.PEER_MAC) for peer in _PEERS})
    return datapath


def _cases(there: Sockets, program: LoadedProgram) -> list[Case]:
    found: list[tuple[str, FrameSource, str]] = [
        (ESTABLISHED, _established(there, "A"), "taken_established"),
        (LOOKED_UP, _established(there, "FA"), "taken_established"),
        ("proxy: SYN", _fixed(_segment(_STRANGER, SERVER, 1, there.port, "S")), "taken_syn"),
        ("proxy: SYN cookie", lambda: frames.tunnelled(there.cookie()), "taken_syncookie"),
        ("proxy: forwarded", _unknown(there.port), "forwarded"),
        ("proxy: forwarded, cookies sent", _unknown(there.cookie_port), "forwarded"),
    ]
    return [
        Case(name, program, Harness.WHOLE, frame, verdict, namespace=there.namespace) for name, frame, verdict in found
    ]


def _checked(there: Sockets, program: LoadedProgram) -> Case:
    """A proxy that takes the tunnel's packets from directors only."""
    name = f"{ESTABLISHED}, source checked"
    return Case(name, program, Harness.WHOLE, _established(there, "A"), "taken_established", namespace=there.namespace)


def _unknown(port: int) -> FrameSource:
    """An ACK of a connection that lives elsewhere, to a port that listens here too."""
    return _fixed(_segment(_STRANGER, SERVER, 1, port, "A"))


def _established(there: Sockets, flags: str) -> FrameSource:
    return _fixed(_segment(CLIENT, SERVER, there.connected_port, there.port, flags, there.expected))


def _segment(source: str, to: str, source_port: int, port: int, flags: str, sequence: int = 0) -> Packet:
    return IP(src=source, dst=to) / TCP(sport=source_port, dport=port, flags=flags, seq=sequence) / Raw(b"data")


def _fixed(inner: Packet) -> FrameSource:
    return partial(bytes, frames.tunnelled(inner))
