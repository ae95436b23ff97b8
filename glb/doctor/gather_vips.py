# SPDX-License-Identifier: MIT
"""Facts about a proxy's stack: what it does with packets to its VIPs, and with the answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from glb.config.model import Bind, ProxyConfig
from glb.doctor.facts import BindPorts, VipFacts
from glb.network.interface import Interface
from glb.network.listeners import ListeningSocket, listeners
from glb.network.messages import Address, Network
from glb.network.namespaces import within
from glb.network.return_path import CLIENTS, ReturnPath, return_path
from glb.network.rtnetlink import Rtnetlink, open_rtnetlink
from glb.network.stack import LocalNetwork, fate, local_networks, overlapping

_NEIGHBOUR_SECONDS = 1.0
_OWN = ""  # the proxy's own network namespace


@dataclass(frozen=True, slots=True)
class _Place:
    """A network namespace whose sockets receive packets."""

    name: str
    local: tuple[LocalNetwork, ...]
    listeners: tuple[ListeningSocket, ...]


def vip_facts(
    interface: Interface, config: ProxyConfig, reached: Sequence[Network], binds: Sequence[Bind]
) -> tuple[VipFacts, ...]:
    """Facts about the networks of the binds; without binds, about the proxy's VIPs.

    interface, config: the proxy's. reached: the VIPs of its daemon. Raises NetworkError if a namespace
    cannot be entered.
    """
    places = [_place(name) for name in (_OWN, *config.namespaces)]
    wanted = _ports_by_network(binds) or dict.fromkeys(reached, ())
    is_configured = bool(binds) or config.vips is not None
    with open_rtnetlink() as netlink:
        found = [
            _facts(netlink, interface, network, ports, places, is_configured=is_configured)
            for network, ports in wanted.items()
        ]
    return tuple(replace(vip, is_reached=bool(overlapping(vip.network, reached))) for vip in found)


def _place(name: str) -> _Place:
    def look() -> tuple[LocalNetwork, ...]:
        with open_rtnetlink() as netlink:
            return tuple(local_networks(netlink))

    if name == _OWN:
        return _Place(name, look(), listeners())
    return _Place(name, within(name, look), listeners(name))


def _ports_by_network(binds: Iterable[Bind]) -> dict[Network, tuple[BindPorts, ...]]:
    found: dict[Network, list[BindPorts]] = {}
    for bind in binds:
        found.setdefault(bind.network, []).append(BindPorts(str(bind.proto), bind.port_start, bind.port_end))
    return {network: tuple(ports) for network, ports in found.items()}


def _facts(
    netlink: Rtnetlink,
    interface: Interface,
    network: Network,
    ports: tuple[BindPorts, ...],
    places: Sequence[_Place],
    *,
    is_configured: bool,
) -> VipFacts:
    found = next(((place, local) for place in places if (local := _local(place, network))), None)
    place, local = found or (places[0], None)
    vip = _one_of(network, local)
    return VipFacts(
        network,
        is_configured,
        namespace=place.name,
        local=local,
        fates=tuple(fate(netlink, vip, client, interface.ip_index) for client in CLIENTS[vip.version]),
        paths=_paths(place.name, vip) if local else (),
        listeners=tuple(one for one in place.listeners if _takes(one, vip, place, interface)),
        ports=ports,
    )


def _takes(listener: ListeningSocket, vip: Address, place: _Place, interface: Interface) -> bool:
    """In another namespace, a socket may be bound to any interface."""
    return listener.takes(vip, interface.ip_index if place.name == _OWN else listener.interface)


def _local(place: _Place, network: Network) -> LocalNetwork | None:
    """The address or route that makes the network, or a part of it, local there."""
    return next((local for local in place.local if overlapping(local.network, [network])), None)


def _one_of(network: Network, local: LocalNetwork | None) -> Address:
    """An address of the network's local part; not the network address, unless it is the only one."""
    part = local.network if local and local.network.prefixlen > network.prefixlen else network
    return part[0] if part.prefixlen >= part.max_prefixlen - 1 else part[1]


def _paths(namespace: str, vip: Address) -> tuple[ReturnPath, ...]:
    def look() -> tuple[ReturnPath, ...]:
        with open_rtnetlink() as netlink:
            return tuple(return_path(netlink, vip, client, _NEIGHBOUR_SECONDS) for client in CLIENTS[vip.version])

    return look() if namespace == _OWN else within(namespace, look)
