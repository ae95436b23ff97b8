# SPDX-License-Identifier: MIT
"""Classifies local addresses: VIPs, which tunnelled packets may be for, and those that the host uses itself. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, ip_network

from glb.config.model import Address, Network
from glb.network.local import Local, LocalAddress

_HOLDERS = {"loopback", "dummy", "vrf", "ipip", "sit", "ip6tnl"}
"""The kinds of interfaces that hold VIPs; on proxies of glb-redirect, tunnel interfaces do."""


def judge_places(here: Local, others: Iterable[Local], configured: Sequence[Network] | None) -> dict[Network, bool]:
    """The networks that are local to a proxy's host, and whether each is a VIP. The longest prefix applies.

    here, others: the proxy's network namespace, and others whose sockets receive packets. configured: the VIPs that
    proxy.conf lists. If it is None, VIPs are

    - the prefixes of local routes (AnyIP),
    - the single addresses (/32, /128) of loopback, dummy, VRF and tunnel interfaces, and IPv4 networks of loopback,

    unless they are loopback or link-local addresses, or the source address of a route. An address that the host uses
    itself is no VIP, even within a network that is one.
    """
    used = {_single(address) for address in _used(here)}
    candidates = {place for local in (here, *others) for place in _candidates(local)} - used
    vips = candidates if configured is None else set(configured)
    covers = _Covers(vips)
    own = used | {place for place in candidates if not covers.holds(place)}
    return dict.fromkeys(own, False) | dict.fromkeys(vips, True)


def connected_networks(local: Local, index: int) -> list[IPv4Network]:
    """The IPv4 networks that the interface with this index is connected to."""
    found = {
        address.interface.network
        for address in local.addresses
        if address.index == index and not address.has_peer and not _is_single(address)
    }
    return sorted(network for network in found if isinstance(network, IPv4Network))


class _Covers:
    """Finds whether one of many networks covers another, without comparing each."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = set(networks)
        self._lengths = {(network.version, network.prefixlen) for network in self._networks}

    def holds(self, place: Network) -> bool:
        return any(
            place.supernet(new_prefix=length) in self._networks
            for version, length in self._lengths
            if version == place.version and length <= place.prefixlen
        )


def _candidates(local: Local) -> Iterator[Network]:
    yield from (prefix for prefix in local.prefixes if _may_be_vip(prefix.network_address))
    for address in local.addresses:
        if _holds_vip(address) and _may_be_vip(address.interface.ip) and address.interface.ip not in local.sending:
            yield address.interface.network


def _used(local: Local) -> Iterator[Address]:
    """The addresses that the host uses itself."""
    yield from local.sending
    for address in local.addresses:
        if not _holds_vip(address):
            yield address.interface.ip


def _holds_vip(address: LocalAddress) -> bool:
    """An IPv4 network on the loopback interface is local as a whole; on other interfaces only the address is."""
    if address.kind == "loopback" and address.interface.version == 4:
        return True
    return address.kind in _HOLDERS and _is_single(address) and not address.has_peer


def _may_be_vip(address: Address) -> bool:
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


def _is_single(address: LocalAddress) -> bool:
    return address.interface.network.prefixlen == address.interface.max_prefixlen


def _single(address: Address) -> Network:
    return ip_network(address)
