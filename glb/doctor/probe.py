"""Packets run through the attached program, without any network, and compared with what the tables say."""

import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from glb.config.model import Address, DirectorConfig, Proto
from glb.datapath import libbpf
from glb.datapath.pins import pin_dir
from glb.hashing.flow import Flow
from glb.network.interface import Interface
from glb.scapy import GLBGUE
from glb.table.build import BuiltTable, load
from glb.table.lookup import Lookup, lookup

_XDP_TX = 3
_MOST = 100  # packets, so that thousands of binds do not take long
_CLIENTS: dict[int, Address] = {4: IPv4Address("198.51.100.1"), 6: IPv6Address("2001:db8::1")}
_CLIENT_PORT = 4711


def probe_tables(interface: Interface, table: Path, config: DirectorConfig) -> tuple[int, tuple[str, ...]]:
    """How many packets were tried, and what was otherwise. They are counted in the program's statistics.

    Only who is in a row is compared, not the order: that follows health, of which the file may not know.
    """
    tables = load(table)
    path = pin_dir(interface.name) / "program"
    if not path.exists():
        return 0, ()
    program = libbpf.open_pin(path)
    try:
        flows = list(_flows(tables))[:_MOST]
        deviations = [_deviation(program, interface, flow, proto, tables, config) for flow, proto in flows]
    finally:
        os.close(program)
    return len(flows), tuple(deviation for deviation in deviations if deviation)


def run_packet(program: int, mac: bytes, flow: Flow, proto: Proto) -> tuple[int, GLBGUE | None, str | None]:
    """Run a packet of a flow through a director's program, a SYN or an empty datagram.

    mac: the director's, 6 bytes. Returns the XDP action, and the tunnel's GUE header and destination if there is one.
    """
    network = IP if flow.src.version == 4 else IPv6
    transport = TCP(sport=flow.src_port, dport=flow.dst_port, flags="S")
    if proto is Proto.UDP:
        transport = UDP(sport=flow.src_port, dport=flow.dst_port)
    frame = Ether(dst=mac.hex(":"), src="02:00:00:00:00:01") / network(src=str(flow.src), dst=str(flow.dst)) / transport
    action, data = libbpf.run_on_frame(program, bytes(frame))
    out = Ether(data)
    return (action, out[GLBGUE], out[IP].dst) if GLBGUE in out else (action, None, None)


def _flows(tables: tuple[BuiltTable, ...]) -> Iterator[tuple[Flow, Proto]]:
    """One of each bind."""
    for table in tables:
        for bind in table.binds:
            client = _CLIENTS[bind.family]
            yield Flow(client, bind.network.network_address, _CLIENT_PORT, bind.port_start), bind.proto


def _deviation(
    program: int, interface: Interface, flow: Flow, proto: Proto, tables: tuple[BuiltTable, ...], config: DirectorConfig
) -> str | None:
    expected = lookup(tables, flow, proto, config.hash_fields, config.alt_hash_fields)
    action, header, destination = run_packet(program, interface.mac, flow, proto)
    what = f"{flow.src} to {flow.dst} port {flow.dst_port}/{proto}"
    if action != _XDP_TX or header is None or destination is None:
        return f"{what} is not tunnelled"
    hops = {destination, *header.hops}
    if hops != _addresses(expected):
        return f"{what} goes to {', '.join(sorted(hops))}"
    return None


def _addresses(expected: Lookup | None) -> set[str]:
    return {str(hop) for hop in expected.hops} if expected else set()
