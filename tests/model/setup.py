# SPDX-License-Identifier: MIT
"""The configuration as the model sees it: the JSON documents of docs/configuration.md, as dicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from .headers import TCP, UDP, Flow

Document = Mapping[str, Any]

FIELDS = ("src_addr", "dst_addr", "src_port", "dst_port")
DEFAULT_FIELDS = {"src_addr": True}


@dataclass(frozen=True, slots=True)
class Bind:
    """What belongs to the table numbered `table`: `network` is the prefix's bits as an integer."""

    table: int
    size: int
    prefix: int
    network: int
    protocol: int
    first_port: int
    last_port: int

    def holds_address(self, address: bytes) -> bool:
        if len(address) != self.size:
            return False
        return int.from_bytes(address, "big") >> (8 * self.size - self.prefix) == self.network

    def holds_port(self, port: int) -> bool:
        return self.first_port <= port <= self.last_port

    @property
    def ports(self) -> int:
        return self.last_port - self.first_port + 1


def bind_of(table: int, document: Document) -> Bind:
    network = ip_network(document["ip"])
    first = document.get("port", document.get("port_start"))
    last = document.get("port", document.get("port_end"))
    assert isinstance(first, int)
    assert isinstance(last, int)
    size = network.max_prefixlen // 8
    bits = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
    return Bind(table, size, network.prefixlen, bits, {"tcp": TCP, "udp": UDP}[document["proto"]], first, last)


def chosen(fields: Document | None) -> tuple[str, ...]:
    """The names of the fields to hash, in the order of the hash."""
    return tuple(name for name in FIELDS if (fields or {}).get(name, False))


def hashed(flow: Flow, fields: Sequence[str]) -> bytes:
    """What goes into the hash."""
    values = {
        "src_addr": flow.src,
        "dst_addr": flow.dst,
        "src_port": flow.sport.to_bytes(2, "big"),
        "dst_port": flow.dport.to_bytes(2, "big"),
    }
    return b"".join(values[name] for name in fields)


def packed_mac(text: str) -> bytes:
    return bytes(int(part, 16) for part in text.split(":"))


@lru_cache
def packed_address(text: str) -> bytes:
    return ip_address(text).packed


def echo_choice(config: Document) -> str:
    """What becomes of echoes: "forward", "answer" or "pass"."""
    default = "forward" if config.get("forward_icmp_ping_responses", False) else "pass"
    return str(config.get("icmp_echo", default))
