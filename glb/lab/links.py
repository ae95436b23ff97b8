# SPDX-License-Identifier: MIT
"""Interfaces and their settings, each function acting inside one namespace."""

from collections.abc import Iterable
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface

from pyroute2 import Ethtool, IPRoute

from glb.datapath import pass_program
from glb.network.interface import find_interface
from glb.network.namespaces import within

_NO_DUPLICATE_DETECTION = 0x02


def add_veth(namespace: str, name: str, mac: str, mtu: int, *, peer_namespace: str, peer: str) -> None:
    """Add a pair of interfaces, one in each namespace, both up, without offloads.

    A new veth has checksum and segmentation offloads: XDP would receive and send packets without a checksum.
    """

    def add() -> None:
        with IPRoute() as ip:
            far_end = {"ifname": peer, "mtu": mtu, "net_ns_fd": peer_namespace}
            ip.link("add", kind="veth", ifname=name, address=mac, mtu=mtu, peer=far_end)

    within(namespace, add)
    for where, end in ((namespace, name), (peer_namespace, peer)):
        within(where, partial(_complete_packets, end))
        set_up(where, end)


def _complete_packets(interface: str) -> None:
    with Ethtool() as ethtool:
        ethtool.set_offload_flag(interface, "tx-checksumming", 0)
        ethtool.set_offload_flag(interface, "generic-segmentation-offload", 0)


def set_up(namespace: str, interface: str) -> None:
    def up() -> None:
        with IPRoute() as ip:
            ip.link("set", index=_index(ip, interface), state="up")

    within(namespace, up)


def remove(namespace: str, interface: str) -> None:
    """Remove an interface; of a veth, the other end is removed too."""

    def delete() -> None:
        with IPRoute() as ip:
            ip.link("del", index=_index(ip, interface))

    within(namespace, delete)


def add_bridge(namespace: str, name: str, mtu: int) -> None:
    """Add a bridge that forwards immediately: no spanning tree, no multicast snooping."""

    def add() -> None:
        with IPRoute() as ip:
            ip.link("add", kind="bridge", ifname=name, mtu=mtu, br_stp_state=0, br_mcast_snooping=0)

    within(namespace, add)
    set_up(namespace, name)


def join_bridge(namespace: str, bridge: str, port: str) -> None:
    def join() -> None:
        with IPRoute() as ip:
            ip.link("set", index=_index(ip, port), master=_index(ip, bridge))

    within(namespace, join)


def attach_pass_program(namespace: str, interface: str) -> None:
    """Attach a program, so that the interface receives what its other end sends by XDP_TX."""

    def attach() -> None:
        pass_program.attach(find_interface(interface))

    within(namespace, attach)


def add_addresses(namespace: str, interface: str, addresses: Iterable[IPv4Interface | IPv6Interface]) -> None:
    """Add addresses that are usable immediately (no duplicate address detection)."""

    def add() -> None:
        with IPRoute() as ip:
            for address in addresses:
                flags = {"flags": _NO_DUPLICATE_DETECTION} if address.version == 6 else {}
                ip.addr(
                    "add",
                    index=_index(ip, interface),
                    address=str(address.ip),
                    prefixlen=address.network.prefixlen,
                    **flags,
                )

    within(namespace, add)


def _index(ip: IPRoute, interface: str) -> int:
    found: list[int] = ip.link_lookup(ifname=interface)
    return found[0]
