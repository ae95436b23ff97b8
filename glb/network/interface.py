# SPDX-License-Identifier: MIT
"""Network interfaces of this network namespace."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address

from glb.errors import NetworkError
from glb.network.messages import MAIN_TABLE, AddressEntry, Link, addresses, link, links
from glb.network.rtnetlink import open_rtnetlink

_VRF = "vrf"
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
    """Raises NetworkError that lists the interfaces."""
    with open_rtnetlink() as netlink:
        found = links(netlink)
    link = next((link for link in found.values() if link.name == name), None)
    if link is None:
        names = sorted(link.name for link in found.values())
        raise NetworkError(f"no interface {name} here; there are: {', '.join(names)}")
    upper = _upper(link, found)
    if len(upper.mac) != 6:
        raise NetworkError(f"{name} has no Ethernet address: glb needs an Ethernet interface")
    master = found.get(upper.master)
    vrf = master if master and master.kind == _VRF else None
    return Interface(
        name=name,
        index=link.index,
        mac=upper.mac,
        mtu=upper.mtu,
        ip_index=upper.index,
        vrf=vrf.index if vrf else 0,
        table=vrf.vrf_table if vrf else MAIN_TABLE,
    )


def _upper(link: Link, found: Mapping[int, Link]) -> Link:
    """The interface with the addresses of a link. In a VRF, which is a routing table and not a bridge, the link
    itself."""
    master = found.get(link.master)
    return link if master is None or master.kind == _VRF else master


@dataclass(frozen=True, slots=True)
class AttachedXdp:
    """The XDP program on an interface. mode: as `ip link set` calls it."""

    program_id: int
    mode: str


def xdp_attached(interface: Interface) -> AttachedXdp | None:
    """What is attached to the interface, by glb or by another program."""
    with open_rtnetlink() as netlink:
        found = link(netlink, interface.index)
    mode = _XDP_MODES.get(found.xdp_attached, "xdp")
    return AttachedXdp(found.xdp_program, mode) if found.xdp_program else None


def frame_macs(interface: Interface) -> tuple[bytes, ...]:
    """The MACs (6 bytes) of frames that the kernel takes for this host's own (PACKET_HOST): the interface's, and that
    of the bond, team or bridge that it belongs to."""
    with open_rtnetlink() as netlink:
        own = link(netlink, interface.index).mac
    return (interface.mac,) if own == interface.mac else (interface.mac, own)


def ipv4_addresses(interface: Interface) -> list[IPv4Address]:
    """The IPv4 addresses of this network namespace, those of the interface first."""
    return [address for _, address in sorted(_ipv4(), key=lambda pair: pair[0].index != interface.ip_index)]


def interface_networks(interface: Interface) -> list[IPv4Network]:
    """The IPv4 networks that the interface is connected to."""
    entries = (entry for entry, _ in _ipv4() if entry.index == interface.ip_index)
    found = {IPv4Interface((entry.far.packed, entry.prefixlen)).network for entry in entries}
    return sorted(network for network in found if network.prefixlen < network.max_prefixlen)


def local_addresses() -> frozenset[IPv4Address | IPv6Address]:
    """Every address of this network namespace."""
    with open_rtnetlink() as netlink:
        return frozenset(entry.address for entry in addresses(netlink))


def addresses_of(interface: Interface) -> list[IPv4Address]:
    """The IPv4 addresses of the interface itself."""
    return [address for entry, address in _ipv4() if entry.index == interface.ip_index]


def _ipv4() -> list[tuple[AddressEntry, IPv4Address]]:
    with open_rtnetlink() as netlink:
        return [(entry, entry.address) for entry in addresses(netlink) if isinstance(entry.address, IPv4Address)]
