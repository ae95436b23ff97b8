"""The proxy, and the packets to measure it with."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

from scapy.layers.inet import IP, TCP
from scapy.packet import Packet, Raw

from bench import frames
from bench.cases import Case, FrameSource, Harness
from bench.sockets import SERVER, Sockets, sockets
from glb.datapath.program import Program
from glb.datapath.proxy import load_proxy

_STRANGER = "198.18.0.1"


@contextmanager
def cases() -> Iterator[list[Case]]:
    """What is measured on the proxy; the sockets that it asks about are there as long as the context lasts."""
    with sockets() as there, closing(load_proxy()) as program:
        yield _cases(there, program)


def _cases(there: Sockets, program: Program) -> list[Case]:
    unknown = _fixed(_segment(_STRANGER, SERVER, 1, there.port, "A"))
    found: list[tuple[str, FrameSource, str]] = [
        (
            "proxy: established",
            _fixed(_segment(SERVER, SERVER, there.connected_port, there.port, "A")),
            "taken_established",
        ),
        ("proxy: SYN", _fixed(_segment(_STRANGER, SERVER, 1, there.port, "S")), "taken_syn"),
        ("proxy: SYN cookie", lambda: frames.tunnelled(there.cookie()), "taken_syncookie"),
        ("proxy: sent on", unknown, "forwarded"),
    ]
    return [
        Case(name, program, Harness.WHOLE, frame, verdict, namespace=there.namespace) for name, frame, verdict in found
    ]


def _segment(source: str, to: str, source_port: int, port: int, flags: str) -> Packet:
    return IP(src=source, dst=to) / TCP(sport=source_port, dport=port, flags=flags) / Raw(b"data")


def _fixed(inner: Packet) -> FrameSource:
    return partial(bytes, frames.tunnelled(inner))
