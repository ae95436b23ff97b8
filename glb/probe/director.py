# SPDX-License-Identifier: MIT
"""A director's decision on a flow, by its files and by its program."""

from collections.abc import Sequence

from scapy.layers.inet import IP, UDP

from glb.config.model import DirectorConfig, Proto
from glb.hashing.flow import Flow
from glb.network.interface import find_interface
from glb.probe.decisions import DirectorProbe
from glb.probe.frames import client_packet, pinned_program, run
from glb.scapy import GLBGUE
from glb.table.lookup import lookup
from glb.table.model import BuiltTable

ACTIONS = ("aborted", "drop", "pass", "tx", "redirect")


def probe_director(
    interface: str, tables: Sequence[BuiltTable], config: DirectorConfig, flow: Flow, proto: Proto
) -> DirectorProbe:
    """Raises DatapathError or NetworkError. The packet is counted in the program's statistics."""
    found = lookup(tables, flow, proto, config.hash_fields, config.alt_hash_fields)
    mac = find_interface(interface).mac
    with pinned_program(interface) as program:
        action, frame = run(program, mac, client_packet(flow, proto))
    header = frame.getlayer(GLBGUE)
    return DirectorProbe(
        interface=interface,
        table=found.table if found else None,
        bind=str(found.bind) if found else None,
        row=found.row if found else None,
        hops=tuple(str(hop) for hop in found.hops) if found else (),
        action=ACTIONS[action],
        sent=(frame[IP].dst, *header.hops) if header else (),
        tunnel_source_port=frame[UDP].sport if header else None,
    )
