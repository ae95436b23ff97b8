# SPDX-License-Identifier: MIT
"""The lab's network: client - router - datacenter bridge - directors and proxies.

client ---- router ====== dc (bridge, MTU 9000) ====== director1, director2, ...
 1500                                          ====== proxy1, proxy2, proxy3, ...
"""

from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface

from glb.lab import links, netns, routes
from glb.lab.hosts import (
    CLIENT,
    CLIENT_MTU,
    CLIENTS4,
    CLIENTS6,
    DC_MTU,
    ROUTER,
    ROUTER_CLIENT_SIDE,
    SWITCH,
    VIP4,
    VIP6,
    VIP_NET4,
    VIP_NET6,
    HostRole,
    IPAddress,
    LabHost,
    mac,
)
from glb.lab.paths import namespace

_EVERY_HOST: dict[str, int] = {
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
    "net.ipv4.conf.all.accept_redirects": 0,
    "net.ipv6.conf.default.accept_redirects": 0,
    "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv6.conf.default.dad_transmits": 0,
    "net.ipv6.conf.default.accept_dad": 0,
}

_CLIENT: dict[str, int] = {"net.ipv6.ip_nonlocal_bind": 1}

_ROUTER: dict[str, int] = {
    "net.ipv4.ip_forward": 1,
    "net.ipv6.conf.all.forwarding": 1,
    "net.ipv4.fib_multipath_hash_policy": 1,
    "net.ipv6.fib_multipath_hash_policy": 1,
}

_PROXY: dict[str, int] = {
    "net.ipv4.conf.all.arp_ignore": 1,
    "net.ipv4.conf.all.arp_announce": 2,
}


def build_core(lab: str) -> None:
    """The client, the router and the bridge, with the routes between them."""
    _add_host(lab, SWITCH, {})
    links.add_bridge(namespace(lab, SWITCH.name), SWITCH.name, DC_MTU)
    _add_host(lab, ROUTER, _ROUTER)
    _plug_in(lab, ROUTER)
    _add_host(lab, CLIENT, _CLIENT)
    _connect_client(lab)


def add_director(lab: str, director: LabHost) -> None:
    _add_host(lab, director, {})
    _plug_in(lab, director)
    _route_by_router(lab, director)


def add_proxy(lab: str, proxy: LabHost) -> None:
    """A proxy has the VIPs on its loopback interface, and answers clients directly through the router."""
    _add_host(lab, proxy, _PROXY)
    _plug_in(lab, proxy)
    _route_by_router(lab, proxy)
    vips = (IPv4Interface((VIP4, 32)), IPv6Interface((VIP6, 128)))
    links.add_addresses(namespace(lab, proxy.name), "lo", vips)


def unplug(lab: str, host: LabHost) -> None:
    """Disconnect a host from the bridge, so that it can send nothing."""
    links.remove(namespace(lab, SWITCH.name), host.name)


def announce(lab: str, directors: Sequence[LabHost]) -> None:
    """Set the router's routes to the VIPs to these directors."""
    router = namespace(lab, ROUTER.name)
    routes.set_multipath(router, VIP_NET4, [d.ipv4.ip for d in directors if d.ipv4])
    routes.set_multipath(router, VIP_NET6, [d.ipv6.ip for d in directors if d.ipv6])


def _add_host(lab: str, host: LabHost, settings: dict[str, int]) -> None:
    name = namespace(lab, host.name)
    netns.create(name)
    links.set_up(name, "lo")
    netns.set_sysctls(name, _EVERY_HOST | settings)


def _plug_in(lab: str, host: LabHost) -> None:
    """Connect a host to the bridge by a port of its name."""
    name, switch = namespace(lab, host.name), namespace(lab, SWITCH.name)
    links.add_veth(name, host.name, mac(host), DC_MTU, peer_namespace=switch, peer=host.name)
    links.join_bridge(switch, SWITCH.name, host.name)
    links.add_addresses(name, host.name, host.addresses)
    if host.role in (HostRole.DIRECTOR, HostRole.PROXY):
        links.attach_pass_program(switch, host.name)


def _connect_client(lab: str) -> None:
    client, router = namespace(lab, CLIENT.name), namespace(lab, ROUTER.name)
    near, far = CLIENT, ROUTER_CLIENT_SIDE
    links.add_veth(client, near.name, mac(near), CLIENT_MTU, peer_namespace=router, peer=far.name)
    links.add_addresses(client, near.name, near.addresses)
    links.add_addresses(router, far.name, far.addresses)
    for network in (CLIENTS4, CLIENTS6):
        routes.add_local(client, network)
        routes.add(router, network, _address(near, network.version))
    _route_everything(client, far)


def _route_by_router(lab: str, host: LabHost) -> None:
    _route_everything(namespace(lab, host.name), ROUTER)


def _route_everything(name: str, gateway: LabHost) -> None:
    for network in (routes.EVERYWHERE4, routes.EVERYWHERE6):
        routes.add(name, network, _address(gateway, network.version))


def _address(host: LabHost, family: int) -> IPAddress:
    return next(address.ip for address in host.addresses if address.version == family)
