# SPDX-License-Identifier: MIT
"""Network interfaces of this network namespace."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, ip_address
from socket import AF_INET
from typing import Any

from glb.errors import NetworkError
from glb.network.netlink import open_netlink

MAIN_TABLE = 254  # RT_TABLE_MAIN
_XDP_MODES = {2: "xdpgeneric", 3: "xdpoffload"}  # XDP_ATTACHED_*, where it is not the driver's own


@dataclass(frozen=True, slots=True)
class Interface:
    """An Ethernet interface: its index, its MAC address (6 bytes), its MTU in bytes of IP packet.

    ip_index: the index of the interface that its addresses and routes belong to. Of a member of a bond, a team or a
    bridge that is the bond, team or bridge, whose MAC and MTU are given here too: frames are sent to those.
    vrf: the index of the VRF that those routes are in, 0 if in none. table: the number of their routing table.
    """

    name: str
    index: int
    mac: bytes
    mtu: int
    ip_index: int
    vrf: int = 0
    table: int = MAIN_TABLE


def find_interface(name: str) -> Interface:
    """Raises NetworkError that lists what interfaces there are."""
    with open_netlink() as netlink:
        links = list(netlink.get_links())
    link = next((link for link in links if link.get("ifname") == name), None)
    if link is None:
        names = sorted(link.get("ifname") for link in links)
        raise NetworkError(f"no interface {name} here; there are: {', '.join(names)}")
    upper = _upper(link, links)
    mac = bytes.fromhex((upper.get("address") or "").replace(":", ""))
    if len(mac) != 6:
        raise NetworkError(f"{name} has no Ethernet address: glb needs an Ethernet interface")
    master = _master(upper, links)
    vrf = master["index"] if _is_vrf(master) else 0
    table = master.get_nested("linkinfo", "data", "vrf_table") if vrf else MAIN_TABLE
    return Interface(name, link["index"], mac, upper.get("mtu"), upper["index"], vrf, table)


def _upper(link: Any, links: Iterable[Any]) -> Any:
    """What has the addresses of a link. In a VRF, which is a routing table and no bridge, that is the link itself."""
    master = _master(link, links)
    return link if master is None or _is_vrf(master) else master


def _master(link: Any, links: Iterable[Any]) -> Any:
    return next((other for other in links if other["index"] == link.get("master")), None)


def _is_vrf(link: Any) -> bool:
    return link is not None and link.get_nested("linkinfo", "kind") == "vrf"


@dataclass(frozen=True, slots=True)
class AttachedXdp:
    """The XDP program on an interface. mode: as `ip link set` calls it."""

    program_id: int
    mode: str


def xdp_attached(interface: Interface) -> AttachedXdp | None:
    """What is attached to the interface, by whomever."""
    with open_netlink() as netlink:
        [link] = netlink.get_links(interface.index)
    xdp = link.get_attr("IFLA_XDP")
    program_id = xdp and xdp.get_attr("IFLA_XDP_PROG_ID")
    return AttachedXdp(program_id, _XDP_MODES.get(xdp.get_attr("IFLA_XDP_ATTACHED"), "xdp")) if program_id else None


def frame_macs(interface: Interface) -> tuple[bytes, ...]:
    """The MACs (6 bytes) of frames that the kernel takes for this host's own (PACKET_HOST): the interface's, and that
    of the bond, team or bridge that it belongs to."""
    with open_netlink() as netlink:
        [link] = netlink.get_links(interface.index)
    own = bytes.fromhex((link.get("address") or "").replace(":", ""))
    return (interface.mac,) if own == interface.mac else (interface.mac, own)


def ipv4_addresses(interface: Interface) -> list[IPv4Address]:
    """The IPv4 addresses of this network namespace, those of the interface first."""
    with open_netlink() as netlink:
        found = [(entry["index"], IPv4Address(entry.get("local"))) for entry in netlink.get_addr(family=AF_INET)]
    return [address for index, address in sorted(found, key=lambda pair: pair[0] != interface.ip_index)]


def interface_networks(interface: Interface) -> list[IPv4Network]:
    """The IPv4 networks that the interface is connected to."""
    with open_netlink() as netlink:
        entries = netlink.get_addr(family=AF_INET, index=interface.ip_index)
        found = {IPv4Interface((entry.get("address"), entry["prefixlen"])).network for entry in entries}
    return sorted(network for network in found if network.prefixlen < network.max_prefixlen)


def local_addresses() -> frozenset[IPv4Address | IPv6Address]:
    """Every address of this network namespace."""
    with open_netlink() as netlink:
        entries = [entry.get("local") or entry.get("address") for entry in netlink.get_addr()]
    return frozenset(ip_address(entry) for entry in entries)


def addresses_of(interface: Interface) -> list[IPv4Address]:
    """The IPv4 addresses of the interface itself."""
    with open_netlink() as netlink:
        entries = netlink.get_addr(family=AF_INET, index=interface.ip_index)
        return [IPv4Address(entry.get("local")) for entry in entries]
