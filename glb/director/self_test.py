# SPDX-License-Identifier: MIT
"""The self-test: does the attached program still tunnel a packet of the first bind to the right proxy?

It runs the program on test frames (BPF_PROG_TEST_RUN), with the maps that packets use. Test packets are counted like
other packets, and are not transmitted.
"""

import os
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address

from glb.config.bind_order import binds_in_force
from glb.config.model import Address, Bind, DirectorConfig, Egress, Network, Proto
from glb.datapath import libbpf
from glb.datapath.attachment import is_attached
from glb.datapath.generation import NetworkView
from glb.datapath.pins import open_pinned
from glb.errors import DatapathError
from glb.hashing.flow import Flow
from glb.network.interface import Interface
from glb.network.unused import unused_addresses
from glb.routing.prefixes import can_serve
from glb.table.lookup import lookup
from glb.table.model import BuiltTable

_XDP_DROP, _XDP_TX, _XDP_REDIRECT = 1, 3, 4
_PROBES = 8  # test clients: the first hop of some rows may be down
_CLIENT_PORT = 4711
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_OUTER_DESTINATION = slice(30, 34)  # of an Ethernet frame with an IPv4 packet in it


def self_test(
    interface: Interface, surroundings: NetworkView, tables: Sequence[BuiltTable], config: DirectorConfig
) -> None:
    """Raise DatapathError if the interface's datapath is not attached, or fails on a packet.

    surroundings: as written to the datapath.
    """
    if not is_attached(interface.name):
        raise DatapathError(f"{interface.name}: the program is no longer attached")
    program = open_pinned(interface.name, "program")
    try:
        try_packets(program, interface.index, surroundings, tables, config)
    except DatapathError as error:
        raise DatapathError(f"{interface.name}: {error}") from error
    finally:
        os.close(program)


def try_packets(
    program: int,
    ifindex: int | None,
    surroundings: NetworkView,
    tables: Sequence[BuiltTable],
    config: DirectorConfig,
) -> None:
    """Raise DatapathError if the program does not tunnel packets for the first bind to their first hop.

    Tables that cannot serve are left out; if no table is left, nothing is tested. The test fails if any packet goes to
    a wrong hop, or if none is tunnelled. A packet to a backend without a known next hop is dropped correctly, and is
    not counted.
    """
    bind = next((bind for bind, number in binds_in_force(tables) if can_serve(tables[number])), None)
    if bind is None:
        return
    served = tested = 0
    for flow in _flows(bind, [bind.network for table in tables for bind in table.binds]):
        found = lookup(tables, flow, bind.proto, config.hash_fields, config.alt_hash_fields)
        action, left = libbpf.run_on_frame(program, _frame(surroundings.mac, flow, bind.proto), ifindex)
        if action == _XDP_DROP and found and not _has_next_hop(found.hops[0], surroundings, config):
            continue
        tested += 1
        if action not in (_XDP_TX, _XDP_REDIRECT):
            continue
        went_to = IPv4Address(left[_OUTER_DESTINATION])
        if found is None or went_to != found.hops[0]:
            belongs = found.hops[0] if found else "the host's stack"
            raise DatapathError(f"a test packet from {flow.src} to {bind} was sent to {went_to}, not to {belongs}")
        served += 1
    if tested and not served:
        raise DatapathError(f"none of {tested} test packets to {bind} was tunnelled")


def _has_next_hop(backend: Address, surroundings: NetworkView, config: DirectorConfig) -> bool:
    """Whether the maps have the backend's next hop. With "egress": "fib", the program looks it up for each packet."""
    return config.egress is not Egress.FIB and backend in surroundings.next_hops


def _flows(bind: Bind, served: Sequence[Network]) -> list[Flow]:
    clients = unused_addresses(bind.family, _PROBES, served)
    return [Flow(client, bind.network.network_address, _CLIENT_PORT, bind.port_start) for client in clients]


def _frame(mac: bytes, flow: Flow, proto: Proto) -> bytes:
    """A TCP SYN, or an empty datagram, addressed to the interface."""
    if proto is Proto.TCP:
        transport = struct.pack("!HHIIBBHHH", flow.src_port, flow.dst_port, 0, 0, 5 << 4, 0x02, 65535, 0, 0)
    else:
        transport = struct.pack("!HHHH", flow.src_port, flow.dst_port, 8, 0)
    family = flow.src.version
    addresses = flow.src.packed + flow.dst.packed
    if family == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(transport), 0, 0, 64, proto.number, 0)
        checksum = _checksum(head + addresses)
        packet = head[:10] + struct.pack("!H", checksum) + addresses
    else:
        packet = struct.pack("!IHBB", 6 << 28, len(transport), proto.number, 64) + addresses
    ethernet = mac + bytes.fromhex("020000000000") + struct.pack("!H", _ETHERTYPE[family])
    return ethernet + packet + transport


def _checksum(header: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
