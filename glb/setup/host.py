# SPDX-License-Identifier: MIT
"""What this host is, as far as its first configuration depends on it. It is read, and nothing is changed."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from glb.errors import NetworkError
from glb.network.interface import addresses_of, find_interface, interface_networks
from glb.network.messages import Link, links, route_to
from glb.network.rtnetlink import open_rtnetlink
from glb.setup.server import Manager, TunnelInterface, choose_manager

_ELSEWHERE = IPv4Address("192.0.2.1")
"""An address for documentation (RFC 5737): only the default route leads there, and no packet is sent."""
_KINDS = {"bond": "bond", "bridge": "bridge", "vlan": "vlan"}
"""By the kernel's name of an interface's kind; all others are Ethernet to netplan."""


@dataclass(frozen=True, slots=True)
class Uplink:
    """An interface of this host. address: its first IPv4 address. networks: those it is connected to."""

    interface: str
    address: IPv4Address | None
    networks: tuple[IPv4Network, ...]


def default_interface() -> str | None:
    """The interface of the IPv4 default route."""
    with open_rtnetlink() as netlink:
        try:
            index = route_to(netlink, _ELSEWHERE).interface
        except OSError:
            return None
        found = links(netlink).get(index)
    return found.name if found else None


def uplink(interface: str) -> Uplink:
    """Raises NetworkError if there is no such interface."""
    found = find_interface(interface)
    address = next(iter(addresses_of(found)), None)
    return Uplink(interface, address, tuple(interface_networks(found)))


def server_link(interface: str, root: Path = Path("/")) -> TunnelInterface:
    """root: of the file system. Raises NetworkError."""
    link = _link(interface)
    state = _networkd_state(root, link.index)
    file = state.get("NETWORK_FILE")
    return TunnelInterface(
        interface,
        _KINDS.get(link.kind, "ethernet"),
        link.mtu,
        _rp_filter(root, interface),
        Path(file) if file else None,
    )


def network_manager(interface: str, root: Path = Path("/")) -> Manager:
    """The program that configures the interface, by what it has left on the file system. Raises NetworkError."""
    return choose_manager(
        netplan=any((root / "etc/netplan").glob("*.yaml")),
        networkd=_networkd_state(root, _link(interface).index).get("ADMIN_STATE", "unmanaged") != "unmanaged",
        ifupdown=f"{interface}={interface}" in _lines(root / "run/network/ifstate"),
    )


def _link(interface: str) -> Link:
    with open_rtnetlink() as netlink:
        found = next((link for link in links(netlink).values() if link.name == interface), None)
    if found is None:
        raise NetworkError(f"{interface}: no such network interface")
    return found


def _networkd_state(root: Path, index: int) -> dict[str, str]:
    """What networkd says of an interface, by key; empty if it does not run."""
    lines = (line.partition("=") for line in _lines(root / "run/systemd/netif/links" / str(index)))
    return {key: value for key, _, value in lines}


def _rp_filter(root: Path, interface: str) -> int:
    """The larger one counts, as the kernel has it."""
    folder = root / "proc/sys/net/ipv4/conf"
    return max(int(next(iter(_lines(folder / name / "rp_filter")), "0")) for name in ("all", interface))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
