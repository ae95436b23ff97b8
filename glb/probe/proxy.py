# SPDX-License-Identifier: MIT
"""A proxy's decision on a flow's packets, by test runs of its program."""

import os
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import islice

from glb.config.model import Proto
from glb.datapath import libbpf
from glb.datapath.pins import pin_dir
from glb.hashing.flow import Flow
from glb.network.interface import find_interface, interface_networks, ipv4_addresses
from glb.network.sockets import has_connection
from glb.probe.decisions import Decision, ProxyProbe
from glb.probe.director import ACTIONS
from glb.probe.frames import client_packet, pinned_program, run, tunnelled

_DECISIONS = {"pass": Decision.TAKEN, "tx": Decision.SENT_ON, "drop": Decision.DROPPED}
_SEARCHED = 256  # addresses of a network, for one that is not this host's


def probe_proxy(
    interface: str, sources: Sequence[IPv4Network], namespaces: Sequence[str], flow: Flow, proto: Proto
) -> ProxyProbe:
    """sources: the networks that packets are accepted from; empty: any. namespaces: as the configuration has them.

    Raises DatapathError or NetworkError. The packets are counted in the program's statistics.
    """
    found = find_interface(interface)
    own = ipv4_addresses(found)
    hops = list(islice(_addresses(sources or interface_networks(found), own), 1))
    source = next(_addresses(sources, hops), own[0])
    with pinned_program(interface) as program:
        wanted = _wanted(interface)
        first, later = (
            _DECISIONS.get(ACTIONS[action], Decision.DROPPED)
            for action, _ in (
                run(program, found.mac, tunnelled(client_packet(flow, proto, flags), source, own[0], hops))
                for flags in ("S", "A")
            )
        )
    _forget(interface, {hop.packed for hop in hops} - wanted)
    if later is Decision.SENT_ON and proto is Proto.TCP and _is_connected(flow, namespaces):
        later = Decision.TAKEN  # the real packets have the connection's sequence numbers, which the probe does not know
    return ProxyProbe(interface, first, later)


def _is_connected(flow: Flow, namespaces: Sequence[str]) -> bool:
    local, remote = (flow.dst, flow.dst_port), (flow.src, flow.src_port)
    return any(has_connection(local, remote, name) for name in (None, *namespaces))


def _addresses(networks: Iterable[IPv4Network], without: Sequence[IPv4Address]) -> Iterator[IPv4Address]:
    for network in networks:
        yield from (address for address in islice(network.hosts(), _SEARCHED) if address not in without)


def _wanted(interface: str) -> set[bytes]:
    table = libbpf.open_pin(pin_dir(interface) / "wanted_hops")
    try:
        return set(libbpf.keys(table, 4))
    finally:
        os.close(table)


def _forget(interface: str, hops: set[bytes]) -> None:
    """Remove the hops that the program requested because of the probe."""
    table = libbpf.open_pin(pin_dir(interface) / "wanted_hops")
    try:
        for hop in hops & set(libbpf.keys(table, 4)):
            libbpf.delete(table, hop)
    finally:
        os.close(table)
