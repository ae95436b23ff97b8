# SPDX-License-Identifier: MIT
"""Frames of the lab taken apart, and hand-made packets sent from any client address."""

import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from glb.lab import Lab
from glb.lab.capture import FrameCapture, LabFrame
from glb.lab.hosts import IPAddress
from glb.scapy import GUE_PORT

_ETHERNET = 14
_TUNNEL_TO_HOPS = _ETHERNET + 20 + 8 + 8
_BOUND_S = 20.0
_LOOK_AGAIN_S = 0.002


@dataclass(frozen=True, slots=True)
class Inner:
    """An IP packet's flow and the packet itself. The ports are 0 where there are none."""

    source: IPAddress
    destination: IPAddress
    protocol: int
    source_port: int
    destination_port: int
    packet: bytes

    @property
    def flow(self) -> tuple[str, str]:
        return endpoint(self.source, self.source_port), endpoint(self.destination, self.destination_port)

    @property
    def payload(self) -> bytes:
        """What follows the IP header."""
        return self.packet[20 if self.source.version == 4 else 40 :]


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A frame of the tunnel: the hops are all of them, the first one included."""

    frame: bytes
    source: str
    destination: str
    source_port: int
    next_hop: int
    further_hops: tuple[str, ...]
    inner: Inner

    @property
    def hops(self) -> tuple[str, ...]:
        return (self.destination, *self.further_hops)


def endpoint(address: IPAddress, port: int) -> str:
    """As glbctl takes it."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def inner_of(packet: bytes) -> Inner:
    """Take an IP packet without options apart."""
    source: IPAddress
    destination: IPAddress
    if packet[0] >> 4 == 4:
        source, destination = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
        protocol, at = packet[9], 20
    else:
        source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
        protocol, at = packet[6], 40
    source_port, destination_port = struct.unpack_from("!HH", packet, at) if protocol in (6, 17) else (0, 0)
    return Inner(source, destination, protocol, source_port, destination_port, packet)


def tunnel_of(frame: bytes) -> Tunnel | None:
    """None for a frame that is not of the tunnel."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != GUE_PORT.to_bytes(2, "big"):
        return None
    next_hop, hop_count = frame[_TUNNEL_TO_HOPS - 2], frame[_TUNNEL_TO_HOPS - 1]
    end = _TUNNEL_TO_HOPS + 4 * hop_count
    return Tunnel(
        frame=frame,
        source=str(ip_address(frame[26:30])),
        destination=str(ip_address(frame[30:34])),
        source_port=int.from_bytes(frame[34:36], "big"),
        next_hop=next_hop,
        further_hops=tuple(str(ip_address(frame[i : i + 4])) for i in range(_TUNNEL_TO_HOPS, end, 4)),
        inner=inner_of(frame[end:]),
    )


def tunnels(frames: Iterable[LabFrame]) -> list[Tunnel]:
    """What the host behind a bridge port has sent through the tunnel."""
    found = (tunnel_of(frame.data) for frame in frames if not frame.sent)
    return [tunnel for tunnel in found if tunnel is not None]


def delivered(frames: Iterable[LabFrame], *destinations: IPAddress) -> list[Inner]:
    """The IP packets for the destinations that a bridge port has handed to the host behind it."""
    return [inner for inner in _inner(frames, sent=True) if inner.destination in destinations]


def received(frames: Iterable[LabFrame]) -> list[Inner]:
    """The IP packets that an interface has received."""
    return list(_inner(frames, sent=False))


def _inner(frames: Iterable[LabFrame], sent: bool) -> Iterator[Inner]:
    return (inner_of(frame.data[_ETHERNET:]) for frame in frames if frame.sent == sent and _is_ip(frame))


def _is_ip(frame: LabFrame) -> bool:
    return frame.data[12:14] in (b"\x08\x00", b"\x86\xdd")


def ip_layer(source: IPAddress, destination: IPAddress) -> Packet:
    """The IP header for a hand-made packet."""
    layer = IP if source.version == 4 else IPv6
    return layer(src=str(source), dst=str(destination))


class Sender:
    """Sends whole IP packets from a host, whatever their source address."""

    def __init__(self, lab: Lab, host: str = "client") -> None:
        self._sockets = {
            4: lab.open_socket(host, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
            6: lab.open_socket(host, socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW),
        }

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets.values():
            one.close()

    def send(self, packet: Packet | bytes) -> None:
        data = bytes(packet)
        version = data[0] >> 4
        destination = str(IPv4Address(data[16:20]) if version == 4 else IPv6Address(data[24:40]))
        self._sockets[version].sendto(data, (destination, 0))


def wait_for(condition: Callable[[], Any], what: str, bound_s: float = _BOUND_S) -> None:
    """Look again and again until the condition holds."""
    deadline = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {bound_s:.0f} s"
        time.sleep(_LOOK_AGAIN_S)


def send_paced(
    sender: Sender, packets: Sequence[Packet | bytes], arrived: Callable[[], int], at_once: int = 50
) -> None:
    """Send packets, never more at once than an interface's ring holds; wait until all have arrived."""
    for start in range(0, len(packets), at_once):
        part = packets[start : start + at_once]
        for packet in part:
            sender.send(packet)
        wanted = start + len(part)
        wait_for(lambda wanted=wanted: arrived() >= wanted, f"{wanted} packets")  # type: ignore[misc]


class Tap:
    """The tunnels' frames on some bridge ports, each frame looked at once."""

    def __init__(self, *captures: FrameCapture) -> None:
        self._captures = captures
        self._seen = [0] * len(captures)
        self._tunnels: list[Tunnel] = []

    def tunnels(self) -> list[Tunnel]:
        """All so far."""
        for number, capture in enumerate(self._captures):
            frames = capture.frames()
            self._tunnels += tunnels(frames[self._seen[number] :])
            self._seen[number] = len(frames)
        return self._tunnels
