# SPDX-License-Identifier: MIT
"""Constants that the BPF programs and glb's Python both define are equal."""

import re
import socket
from pathlib import Path

import pytest

from glb import scapy
from glb.capture import filter as capture_filter
from glb.config import judge_tables
from glb.datapath import cuckoo, director, layout, proxy_layout
from glb.hashing import rendezvous
from glb.health import gue
from glb.network import path_mtu, routes, vlans

BPF = Path(__file__).parents[2] / "bpf"
_DEFINE = re.compile(r"^#define (?P<name>\w+) (?P<value>0x[0-9a-fA-F]+|\d+|__constant_htons\(\d+\))[UL]*(?=\s|$)", re.M)

SAME = [
    ("gue.h", "GUE_PORT", socket.htons(routes.TUNNEL_PORT)),
    ("gue.h", "GUE_PORT", socket.htons(judge_tables.TUNNEL_PORT)),
    ("gue.h", "GUE_PORT", socket.htons(scapy.GUE_PORT)),
    ("gue.h", "GUE_PORT", socket.htons(gue.GUE_PORT)),
    ("director_maps.h", "GENERATIONS", director._GENERATIONS),
    ("director_maps.h", "ROWS_PER_TABLE", rendezvous.ROWS),
    ("director_maps.h", "HOPS_PER_SLOT", layout.HOPS_PER_SLOT),
    ("director_maps.h", "HASH_SRC_ADDR", director._HASH_BITS["src_addr"]),
    ("director_maps.h", "HASH_DST_ADDR", director._HASH_BITS["dst_addr"]),
    ("director_maps.h", "HASH_SRC_PORT", director._HASH_BITS["src_port"]),
    ("director_maps.h", "HASH_DST_PORT", director._HASH_BITS["dst_port"]),
    ("director_maps.h", "ANSWER_ECHO", director._ANSWER_ECHO),
    ("director_maps.h", "EGRESS_FIB", director._EGRESS_FIB),
    ("director_maps.h", "CHOSEN_FIELDS", director._CHOSEN_FIELDS),
    ("director_maps.h", "WIDE_BINDS", director._WIDE_BINDS),
    ("director_maps.h", "FRAGMENTS", director._FRAGMENTS),
    ("bind.h", "HASH_1", cuckoo._CONSTANTS[0]),
    ("bind.h", "HASH_2", cuckoo._CONSTANTS[1]),
    ("bind.h", "HASH_3", cuckoo._CONSTANTS[2]),
    ("recent.h", "GOLDEN_RATIO", proxy_layout._GOLDEN_RATIO),
    ("encapsulate.h", "TUNNEL_PORT_BASE", path_mtu._LEAST_SOURCE_PORT),
    ("parse.h", "MAX_VLAN_TAGS", vlans.MAX_TAGS),
    ("proxy_maps.h", "PLACE_VIP", int(True)),  # `Places` says of a network whether it is a VIP
    ("capture.h", "CAPTURE_BYTES", capture_filter.MAX_BYTES + 1),
]


def defined(header: str) -> dict[str, int]:
    """The header's macros that are a number, or one in network order."""
    found = {}
    for define in _DEFINE.finditer((BPF / header).read_text()):
        digits = define["value"].removeprefix("__constant_htons(").removesuffix(")")
        number = int(digits, 0)
        found[define["name"]] = socket.htons(number) if digits != define["value"] else number
    return found


@pytest.mark.parametrize(("header", "macro", "value"), SAME)
def test_c_and_python_have_the_same_constant(header: str, macro: str, value: int) -> None:
    assert defined(header)[macro] == value
