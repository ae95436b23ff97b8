# SPDX-License-Identifier: MIT
"""Checks of a well-formed director configuration: its values against each other, against the tables, and against its
host. Pure.
"""

from collections.abc import Iterator, Sequence

from glb.config.host import Host
from glb.config.judge_tables import Tables, addresses_in_use, first_bind_of, prefix_key
from glb.config.model import DirectorConfig, Network, State
from glb.config.note import Note, error, warning
from glb.config.routing import Routing, SpeakerKind
from glb.config.special_addresses import around

IPV6_MIN_MTU = 1280
"""Bytes that each link carries (RFC 8200, 5): IPv6 senders make no smaller packets, whatever ICMP reports."""

_HEADERS = 20 + 8 + 4 + 4
_HOP = 4
"""Bytes of outer IPv4, UDP, GUE and GLB's private data, and of each hop after the first."""


def judge_director(config: DirectorConfig, tables: Tables = (), host: Host | None = None) -> Iterator[Note]:
    """Errors, and values that are likely not to have the intended effect.

    tables: those that it is used with. host: the director's; None if it is not known.
    """
    yield from config.notes
    yield from _source(config, host)
    yield from _mtu(config, tables, host)
    if config.alt_hash_fields == config.hash_fields:
        yield warning(("alt_hash_fields",), "the same as `hash_fields`: each packet names its hops twice; remove it")
    if host is not None:
        yield from _gateway(config, host)
        yield from _metrics(config, host)
    if config.routing is not None and config.routing.speaker is not SpeakerKind.NONE:
        yield from _peers(config, config.routing, host)
        yield from _announced(config.routing, tables)


def _source(config: DirectorConfig, host: Host | None) -> Iterator[Note]:
    source = config.outbound_src_ip
    block = around(source)
    if block is not None and not source.is_link_local:
        yield error(("outbound_src_ip",), f"{source} is {block.kind}: {block.why}; use this director's address")
    elif block is not None:
        yield warning(("outbound_src_ip",), f"{source} is {block.kind}: {block.why}: proxies must be on its link")
    if host is not None and source not in host.addresses:
        yield warning(
            ("outbound_src_ip",),
            f"{source} is not an address of this host: here, health checks of kind gue and of VIPs are not made, and "
            "routers that check sources (uRPF) drop the tunnel's packets",
        )


def _mtu(config: DirectorConfig, tables: Tables, host: Host | None) -> Iterator[Note]:
    mtus = {name: link.mtu for name, link in (host.links.items() if host is not None else ())}
    if config.mtu is not None:
        for name, mtu in mtus.items():
            if config.mtu > mtu:
                yield warning(
                    ("mtu",), f"{config.mtu} is above the MTU of {name}, {mtu}, where larger packets are lost"
                )
    bind = first_bind_of(6, tables)
    if bind is None:
        return
    headers = _HEADERS + _HOP * (_most_hops(config, tables) - 1)
    needs = (
        f"minus {headers} for the tunnel's headers is less than the {IPV6_MIN_MTU} that IPv6 needs (RFC 8200, 5), and "
        f"{bind} is IPv6: large requests would be lost; the minimum is {IPV6_MIN_MTU + headers}"
    )
    if config.mtu is not None and config.mtu - headers < IPV6_MIN_MTU:
        yield error(("mtu",), f"{config.mtu} {needs}")
    for name, mtu in mtus.items() if config.mtu is None else ():
        if mtu - headers < IPV6_MIN_MTU:
            yield warning(("mtu",), f"not given, so the MTU of {name} applies: {mtu} {needs}")


def _most_hops(config: DirectorConfig, tables: Tables) -> int:
    """The most hops that a packet names, alternative rows included."""
    listed = [sum(backend.state is not State.INACTIVE for backend in table.backends) for table in tables]
    rows = 1 if config.alt_hash_fields is None else 2
    return rows * max(min(table.depth, max(count, 1)) for table, count in zip(tables, listed, strict=True))


def _gateway(config: DirectorConfig, host: Host) -> Iterator[Note]:
    own = next((name for name, link in host.links.items() if link.mac == config.gateway_mac), None)
    if own is not None:
        what = f"{config.outbound_gateway_mac} is the MAC address of {own} itself; use the router's, or remove the key"
        yield error(("outbound_gateway_mac",), what)


def _metrics(config: DirectorConfig, host: Host) -> Iterator[Note]:
    is_here = config.outbound_src_ip in host.addresses  # otherwise another warning reports it
    address = config.metrics.listen.address if config.metrics is not None and is_here else None
    if address is not None and not address.is_unspecified and not address.is_loopback and address not in host.addresses:
        yield warning(("metrics", "listen"), f"{address} is not an address of this host")


def _peers(config: DirectorConfig, routing: Routing, host: Host | None) -> Iterator[Note]:
    used = addresses_in_use(config, host)
    for index, peer in enumerate(routing.peers):
        if peer.address in used:
            what = f"{peer.address} is {used[peer.address]}; a peer is a router"
            yield error(("routing", "peers", index, "address"), what)


def _announced(routing: Routing, tables: Tables) -> Iterator[Note]:
    """VIPs that are not announced to any router, and prefixes that are never announced."""
    networks = list(dict.fromkeys(bind.network for table in tables for bind in table.binds))
    if not networks:
        return
    if routing.prefixes is not None:
        yield from _prefixes(routing.prefixes, networks)
    if routing.control is None:
        carried = {family for family in (4, 6) for peer in routing.peers if peer.carries(family)}
        mute = next((network for network in networks if network.version not in carried), None)
        if mute is not None:
            remedy = f"add a peer of that family, or `next_hop_ipv{mute.version}` to one"
            yield warning(("routing", "peers"), f"no peer carries IPv{mute.version}: {mute} is not announced; {remedy}")


def _prefixes(prefixes: Sequence[Network], networks: Sequence[Network]) -> Iterator[Note]:
    keys = [prefix_key(prefix.network_address, prefix.prefixlen) for prefix in prefixes]
    lengths = {(prefix.version, prefix.prefixlen) for prefix in prefixes}
    around_some: set[tuple[int, int, int]] = set()
    bare = []
    for network in networks:
        wider = {
            prefix_key(network.network_address, length)
            for version, length in lengths
            if version == network.version and length <= network.prefixlen
        }.intersection(keys)
        around_some |= wider
        if not wider:
            bare.append(network)
    for index, (prefix, key) in enumerate(zip(prefixes, keys, strict=True)):
        if key not in around_some:
            what = f"{prefix} contains no bind of the tables, so it is never announced"
            yield warning(("routing", "prefixes", index), what)
    if bare:
        others = f" and {len(bare) - 1} further networks of binds" if len(bare) > 1 else ""
        yield warning(("routing", "prefixes"), f"no prefix contains {bare[0]}{others}: not announced")
