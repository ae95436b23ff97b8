# SPDX-License-Identifier: MIT
"""What a proxy's host needs of its network, as files of the program that configures it. Pure.

- Each VIP is an address of lo, so that the host takes packets for it.
- arp_ignore 1 and arp_announce 2: the host neither answers ARP for a VIP nor names it in requests; other hosts of the
  link would otherwise send the VIP's packets here, past the directors.
- rp_filter is not 1 (strict), by which the kernel drops clients' packets if the route back to a client leaves by
  another interface.
- The MTU has room for the tunnel's headers, if packets of the clients' full size are to fit.

Source: Documentation/networking/ip-sysctl.rst of the kernel; systemd.network(5), interfaces(5), netplan(5).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from glb.config.model import Address
from glb.setup.new_file import NewFile

SYSCTL_FILE = Path("/etc/sysctl.d/60-glb.conf")
MTU = 1544
"""1500 bytes, and the tunnel's headers in a row of three hops."""
_STRICT, _LOOSE = 1, 2  # rp_filter


class Manager(StrEnum):
    """The program that configures the host's network. none: another one, or the administrator."""

    NETWORKD = "networkd"
    IFUPDOWN = "ifupdown"
    NETPLAN = "netplan"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TunnelInterface:
    """The interface that the tunnel comes in by.

    kind: ethernet, bond, bridge or vlan. mtu, rp_filter: as they are in force. network_file: of networkd, what
    configures the interface; None where that is not known.
    """

    name: str
    kind: str
    mtu: int
    rp_filter: int
    network_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """mtu: bytes of IP packet; None: the interface's stays as it is."""

    vips: tuple[Address, ...]
    link: TunnelInterface
    mtu: int | None = None


def server_files(manager: Manager, needs: Needs) -> list[NewFile]:
    """The files by which the settings are there after a reboot."""
    return [sysctl_file(needs.link), *_FILES[manager](needs)]


def sysctl_file(link: TunnelInterface) -> NewFile:
    settings = {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2}
    if link.rp_filter == _STRICT:
        settings["net.ipv4.conf.all.rp_filter"] = _LOOSE  # of `all` and the interface's own, the larger one counts
    lines = ["# glb: VIPs on lo are not announced by ARP.", *(f"{key} = {value}" for key, value in settings.items())]
    return NewFile(SYSCTL_FILE, "\n".join(lines) + "\n")


def apply_now(manager: Manager, needs: Needs) -> list[str]:
    """Commands by which the settings are in force without a reboot."""
    commands = [f"sysctl --load={SYSCTL_FILE}"]
    match manager:
        case Manager.NETWORKD:
            return [*commands, "networkctl reload"]
        case Manager.NETPLAN:
            return [*commands, "netplan apply"]
    mtu = [] if needs.mtu is None else [f"ip link set dev {needs.link.name} mtu {needs.mtu}"]
    return [*commands, *(f"ip address replace {_prefix(vip)} dev lo" for vip in needs.vips), *mtu]


def _networkd(needs: Needs) -> Iterator[NewFile]:
    addresses = "".join(f"\n[Address]\nAddress={_prefix(vip)}\n" for vip in needs.vips)
    text = f"# glb: the VIPs that this host serves.\n[Match]\nName=lo\n{addresses}"
    yield NewFile(Path("/etc/systemd/network/25-glb-vips.network"), text)
    if needs.mtu is not None and needs.link.network_file is not None:
        folder = Path("/etc/systemd/network") / f"{needs.link.network_file.name}.d"
        text = f"# glb: room for the tunnel's headers.\n[Link]\nMTUBytes={needs.mtu}\n"
        yield NewFile(folder / "glb-mtu.conf", text)


def _ifupdown(needs: Needs) -> Iterator[NewFile]:
    stanzas = [
        f"iface lo inet{'6' if vip.version == 6 else ''} static\n    address {_prefix(vip)}\n" for vip in needs.vips
    ]
    if needs.mtu is not None:
        stanzas.append(
            f"iface {needs.link.name} inet manual\n    up ip link set dev {needs.link.name} mtu {needs.mtu}\n"
        )
    text = "# glb: the VIPs that this host serves.\n" + "\n".join(stanzas)
    yield NewFile(Path("/etc/network/interfaces.d/glb"), text)


def _netplan(needs: Needs) -> Iterator[NewFile]:
    vips = "".join(f'        - "{_prefix(vip)}"\n' for vip in needs.vips)
    lo = f"    lo:\n      match:\n        name: lo\n      addresses:\n{vips}"
    text = f"# glb: the VIPs that this host serves.\nnetwork:\n  version: 2\n  ethernets:\n{lo}"
    if needs.mtu is not None:
        section = "" if needs.link.kind == "ethernet" else f"  {needs.link.kind}s:\n"
        text += f"{section}    {needs.link.name}:\n      mtu: {needs.mtu}\n"
    yield NewFile(Path("/etc/netplan/70-glb.yaml"), text, 0o600)


def _nothing(_: Needs) -> Iterator[NewFile]:
    yield from ()


_FILES = {
    Manager.NETWORKD: _networkd,
    Manager.IFUPDOWN: _ifupdown,
    Manager.NETPLAN: _netplan,
    Manager.NONE: _nothing,
}


def _prefix(vip: Address) -> str:
    return f"{vip}/{vip.max_prefixlen}"


def left_to_do(manager: Manager, needs: Needs) -> Iterator[str]:
    """What the files do not bring."""
    if manager is Manager.NONE:
        yield "no networkd, ifupdown or netplan: add the VIPs to lo where this host's network is configured"
    if (needs.mtu or needs.link.mtu) < MTU:
        yield (
            f"{needs.link.name} has an MTU of {needs.mtu or needs.link.mtu}: packets of 1500 bytes do not fit into the "
            f"tunnel, and directors send ICMP errors to their senders; --mtu {MTU} if the network supports it"
        )
    if manager is Manager.NETWORKD and needs.mtu is not None and needs.link.network_file is None:
        yield f"{needs.link.name} has no file of networkd: set its MTU to {needs.mtu} where it is configured"


def choose_manager(netplan: bool, networkd: bool, ifupdown: bool) -> Manager:
    """netplan: has files. networkd, ifupdown: configure the interface. netplan writes networkd's files itself."""
    known: Sequence[tuple[bool, Manager]] = (
        (netplan, Manager.NETPLAN),
        (networkd, Manager.NETWORKD),
        (ifupdown, Manager.IFUPDOWN),
    )
    return next((manager for runs, manager in known if runs), Manager.NONE)
