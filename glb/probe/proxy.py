"""A proxy's decision on a flow's packets: would it take them, or send them on?"""

import os
from ipaddress import IPv4Address

from glb.config.model import Proto
from glb.datapath import libbpf
from glb.datapath.pins import pin_dir
from glb.hashing.flow import Flow
from glb.network.interface import find_interface, ipv4_addresses
from glb.network.unused import unused_addresses
from glb.probe.decisions import Decision, ProxyProbe
from glb.probe.director import ACTIONS
from glb.probe.frames import client_packet, pinned_program, run, tunnelled

_DECISIONS = {"pass": Decision.TAKEN, "tx": Decision.SENT_ON, "drop": Decision.DROPPED}


def probe_proxy(interface: str, source: IPv4Address | None, flow: Flow, proto: Proto) -> ProxyProbe:
    """source: a director's address that the proxy takes packets from; None: any will do.

    Raises DatapathError or NetworkError. The packets are counted in the program's statistics.
    """
    found = find_interface(interface)
    address = ipv4_addresses(found)[0]
    [peer] = unused_addresses(
        4, 1
    )  # a hop that is no proxy: a packet that is sent on can be told from one that is taken
    assert isinstance(peer, IPv4Address)
    decisions = []
    with pinned_program(interface) as program:
        for flags in ("S", "A"):
            packet = tunnelled(client_packet(flow, proto, flags), source or peer, address, (peer,))
            action, _ = run(program, found.mac, packet)
            decisions.append(_DECISIONS.get(ACTIONS[action], Decision.DROPPED))
    _forget(interface, peer)
    return ProxyProbe(interface, *decisions)


def _forget(interface: str, peer: IPv4Address) -> None:
    """The program has put the hop among those that its daemon is to resolve."""
    table = libbpf.open_pin(pin_dir(interface) / "wanted_hops")
    try:
        if peer.packed in libbpf.keys(table, len(peer.packed)):
            libbpf.delete(table, peer.packed)
    finally:
        os.close(table)
