"""Network interfaces of this network namespace."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from socket import AF_INET

from pyroute2 import IPRoute

from glb.network.errors import NetworkError


@dataclass(frozen=True, slots=True)
class Interface:
    """An Ethernet interface: its index, its MAC address (6 bytes), its MTU in bytes of IP packet."""

    name: str
    index: int
    mac: bytes
    mtu: int


def find_interface(name: str) -> Interface:
    """Raises NetworkError that lists what interfaces there are."""
    with IPRoute() as netlink:
        links = {link.get("ifname"): link for link in netlink.get_links()}
    link = links.get(name)
    if link is None:
        raise NetworkError(f"no interface {name} here; there are: {', '.join(sorted(links))}")
    mac = bytes.fromhex((link.get("address") or "").replace(":", ""))
    if len(mac) != 6:
        raise NetworkError(f"{name} has no Ethernet address: glb needs an Ethernet interface")
    return Interface(name, link["index"], mac, link.get("mtu"))


def ipv4_addresses(interface: Interface) -> list[IPv4Address]:
    """The IPv4 addresses of this network namespace, those of the interface first."""
    with IPRoute() as netlink:
        found = [(entry["index"], IPv4Address(entry.get("local"))) for entry in netlink.get_addr(family=AF_INET)]
    return [address for index, address in sorted(found, key=lambda pair: pair[0] != interface.index)]
