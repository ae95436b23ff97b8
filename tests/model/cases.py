# SPDX-License-Identifier: MIT
"""A named packet: what it proves, what goes in, and the verdict that a person expects."""

from dataclasses import dataclass
from typing import Any

from scapy.layers.l2 import Ether
from scapy.packet import Packet

Setup = tuple[dict[str, Any], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Case:
    """`setup` names the configuration; the name is also that of its pcap files."""

    name: str
    proves: str
    frame: Packet | bytes
    verdict: str
    setup: str = "plain"


def cut(packet: Packet | bytes, length: int) -> bytes:
    """The frame's first bytes, after all its lengths and checksums were filled in."""
    return bytes(packet)[:length]


def frame(*layers: Packet | bytes, src: str, dst: str) -> Packet:
    packet = Ether(src=src, dst=dst)
    for layer in layers:
        packet = packet / layer
    return packet
