# SPDX-License-Identifier: MIT
"""The lab's hosts and addresses, as constants. Pure.

All addresses are from the ranges for documentation, benchmarks and private use; they exist only in the lab's
namespaces.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

IPAddress = IPv4Address | IPv6Address

VIP4 = IPv4Address("203.0.113.10")
VIP6 = IPv6Address("2001:db8:f::10")
VIPS = (IPv4Network(VIP4), IPv6Network(VIP6))
"""The VIPs as directors announce them."""
VIP_NET4 = IPv4Network("203.0.113.0/24")
VIP_NET6 = IPv6Network("2001:db8:f::/64")

CLIENTS4 = IPv4Network("198.18.0.0/16")
CLIENTS6 = IPv6Network("2001:db8:c::/64")

TRANSFER_NET4 = IPv4Network("10.76.0.0/24")
TRANSFER_NET6 = IPv6Network("fd47:6c62:0:76::/64")
DC_NET4 = IPv4Network("10.77.0.0/24")
DC_NET6 = IPv6Network("fd47:6c62:0:77::/64")

DC_MTU = 9000
CLIENT_MTU = 1500
HTTP_PORT = 80
METRICS_PORT = 9480

MAX_DIRECTORS = 50
MAX_PROXIES = 100


class HostRole(StrEnum):
    CLIENT = "client"
    ROUTER = "router"
    SWITCH = "switch"
    DIRECTOR = "director"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class LabHost:
    """A network namespace and its interface of the same name. The switch has no address."""

    name: str
    role: HostRole
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None

    @property
    def addresses(self) -> list[IPv4Interface | IPv6Interface]:
        return [address for address in (self.ipv4, self.ipv6) if address is not None]


def _at(name: str, role: HostRole, net4: IPv4Network, net6: IPv6Network, offset: int) -> LabHost:
    return LabHost(
        name,
        role,
        IPv4Interface((net4[offset], net4.prefixlen)),
        IPv6Interface((net6[offset], net6.prefixlen)),
    )


CLIENT = _at("client", HostRole.CLIENT, TRANSFER_NET4, TRANSFER_NET6, 2)
ROUTER = _at("router", HostRole.ROUTER, DC_NET4, DC_NET6, 1)
ROUTER_CLIENT_SIDE = _at("clients", HostRole.ROUTER, TRANSFER_NET4, TRANSFER_NET6, 1)
SWITCH = LabHost("dc", HostRole.SWITCH)


def director(number: int) -> LabHost:
    """director1 is 10.77.0.11, director2 is 10.77.0.12, and so on."""
    return _at(f"director{number}", HostRole.DIRECTOR, DC_NET4, DC_NET6, 10 + number)


def proxy(number: int) -> LabHost:
    """proxy1 is 10.77.0.101, proxy2 is 10.77.0.102, and so on."""
    return _at(f"proxy{number}", HostRole.PROXY, DC_NET4, DC_NET6, 100 + number)


def number(host: LabHost) -> int:
    """2 for director2 or proxy2."""
    return int(host.name.removeprefix(host.role))


def client_address(family: int, number: int) -> IPAddress:
    """The `number`-th client's address (from 0) of family 4 or 6; the client's namespace can bind each."""
    if family == 4:
        return CLIENTS4[1 + number % (CLIENTS4.num_addresses - 2)]
    return CLIENTS6[1 + number]


def vip_for(client: IPAddress) -> IPAddress:
    """The service's address in the client's family."""
    return VIP4 if client.version == 4 else VIP6


def mac(host: LabHost) -> str:
    """A locally administered MAC address that contains the IPv4 address: 02:00:0a:4d:00:01 for 10.77.0.1."""
    if host.ipv4 is None:
        raise ValueError(f"{host.name} has no address")
    return "02:00:" + host.ipv4.ip.packed.hex(":")
