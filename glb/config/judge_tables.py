# SPDX-License-Identifier: MIT
"""Checks of well-formed forwarding tables: their values against each other, against a director's configuration, and
against its host. Pure.

The tables may come from a JSON source or from a binary. Notes name the fields of a JSON source.
"""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from itertools import pairwise
from typing import Protocol

from glb.config.field import FieldPath, field_text
from glb.config.health import HealthChecks
from glb.config.host import Host
from glb.config.model import Address, Backend, Bind, DirectorConfig, Echo, Network
from glb.config.note import Note, error, warning
from glb.config.special_addresses import around
from glb.printable import plural

EXAMPLE_KEYS = {
    bytes.fromhex("000102030405060708090a0b0c0d0e0f"): "an example key of earlier documentation",
    bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"): "an example key of earlier documentation",
    bytes(16): "all zero",
}
TUNNEL_PORT = 19523
"""The UDP port on which proxies receive tunnelled packets."""


class Judged(Protocol):
    """A table from a JSON source or a binary. seed: None for a binary, which does not contain it."""

    @property
    def name(self) -> str: ...

    @property
    def hash_key(self) -> bytes: ...

    @property
    def seed(self) -> bytes | None: ...

    @property
    def binds(self) -> tuple[Bind, ...]: ...

    @property
    def backends(self) -> tuple[Backend, ...]: ...

    @property
    def depth(self) -> int: ...


Tables = Sequence[Judged]


def judge_tables(tables: Tables, config: DirectorConfig | None = None, host: Host | None = None) -> Iterator[Note]:
    """Errors, and values that are likely not to have the intended effect.

    config, host: the director's; None if they are not known.
    """
    used = addresses_in_use(config, host)
    yield from _binds(tables, used, host)
    yield from _host_bits(tables)
    yield from _equal_binds(tables)
    yield from _overlapping_ranges(tables)
    yield from _shadowed(tables)
    if config is not None and config.icmp_echo is Echo.FORWARD:
        yield from _shared_echoes(tables)
    for index, table in enumerate(tables):
        place: FieldPath = ("tables", index)
        yield from _backends((*place, "backends"), table, used, host)
        yield from _vips_of_proxies(place, table)
        yield from _keys(place, table)
        yield from _checks((*place, "backends"), table)


def addresses_in_use(config: DirectorConfig | None, host: Host | None) -> Mapping[Address, str]:
    """The addresses of the director's own traffic, and what each is."""
    used: dict[Address, str] = {}
    if config is not None:
        used[config.outbound_src_ip] = "this director's `outbound_src_ip`"
        if config.metrics is not None and not config.metrics.listen.address.is_unspecified:
            used.setdefault(config.metrics.listen.address, "this director's `metrics.listen`")
        for index, peer in enumerate(config.routing.peers if config.routing else ()):
            if peer.local_address is not None:
                used.setdefault(peer.local_address, f"this director's `routing.peers[{index}].local_address`")
    for address, interface in host.own.items() if host is not None else ():
        used.setdefault(address, f"this host's address on {interface}")
    return used


def _binds(tables: Tables, used: Mapping[Address, str], host: Host | None) -> Iterator[Note]:
    objections: dict[Network, str | None] = {}
    for place, bind in _all_binds(tables):
        if bind.network not in objections:
            objections[bind.network] = _objection_to_bind(bind.network, used, host)
        objection = objections[bind.network]
        if objection is not None:
            yield error((*place, "ip"), f"{_text(bind.network)} {objection}")


def _objection_to_bind(network: Network, used: Mapping[Address, str], host: Host | None) -> str | None:
    if network.prefixlen == 0:
        return (
            "contains every address, this director's own included: answers to its health checks, its BGP sessions and "
            "SSH would be tunnelled to backends; use only the networks of the VIPs"
        )
    block = around(network)
    if block is not None:
        return f"is {block.kind}: {block.why}; a VIP must be an address that routers forward"
    address = next((address for address in used if address in network), None)
    if address is not None:
        whose = f"is {used[address]}" if network.num_addresses == 1 else f"contains {address}, {used[address]}"
        return (
            f"{whose}: packets to it, such as answers to health checks, BGP and SSH, would be tunnelled to backends; "
            "use other addresses for the VIPs"
        )
    interface = _broadcast_interface(network, host)
    return f"is the broadcast address of the network on {interface}; a VIP is one host's address" if interface else None


def _broadcast_interface(network: Network, host: Host | None) -> str | None:
    address = network.network_address
    if host is None or network.num_addresses > 1 or not isinstance(address, IPv4Address):
        return None
    return host.broadcasts.get(address)


def _host_bits(tables: Tables) -> Iterator[Note]:
    for place, bind in _all_binds(tables):
        if bind.address is not None:
            what = f"{bind.address}/{bind.network.prefixlen} has host bits set: it is read as {bind.network}"
            yield warning((*place, "ip"), what)


def _equal_binds(tables: Tables) -> Iterator[Note]:
    last = {bind: place for place, bind in _all_binds(tables)}
    for place, bind in _all_binds(tables):
        if last[bind] != place:
            what = f"{bind} has no effect: it is listed again as {field_text(last[bind])}, and the last one applies"
            yield warning(place, what)


def _overlapping_ranges(tables: Tables) -> Iterator[Note]:
    """Port ranges of equal width in several tables, of which neither is narrower than the other."""
    ranges: dict[tuple[Network, str, int], list[tuple[FieldPath, Bind]]] = {}
    for bind, place in {bind: place for place, bind in _all_binds(tables)}.items():
        ranges.setdefault((bind.network, bind.proto, bind.port_end - bind.port_start), []).append((place, bind))
    for found in ranges.values():
        found.sort(key=lambda entry: entry[1].port_start)
        for (one, bind), (other, next_bind) in pairwise(found):
            if next_bind.port_start <= bind.port_end and one[:2] != other[:2]:
                last = max(one, other)
                what = f"overlaps {field_text(last)}, a range of equal width, which applies to the common ports"
                yield warning(min(one, other), f"{bind if last is other else next_bind} {what}")


def _shared_echoes(tables: Tables) -> Iterator[Note]:
    """One note about all networks whose echoes could belong to several tables."""
    holders: dict[Network, dict[int, FieldPath]] = {}
    for index, table in enumerate(tables):
        for position, bind in enumerate(table.binds):
            holders.setdefault(bind.network, {}).setdefault(index, ("tables", index, "binds", position))
    shared = [(network, list(places.values())) for network, places in holders.items() if len(places) > 1]
    if shared:
        network, places = shared[0]
        others = f" (and {plural(len(shared) - 1, 'further network')})" if shared[1:] else ""
        what = (
            f"{_text(network)} is also in {field_text(places[-1])}: ICMP echoes to it go to the proxies of the last "
            f"table that lists it, {field_text(places[-1][:2])}{others}"
        )
        yield warning((*places[0], "ip"), what)


def _shadowed(tables: Tables) -> Iterator[Note]:
    """Binds of which each port belongs to other binds of the same network, of a narrower range or of an equal one that
    is later in the file."""
    by_network: dict[tuple[Network, str], list[tuple[FieldPath, Bind]]] = {}
    for bind, place in {bind: place for place, bind in _all_binds(tables)}.items():  # of equal ones, the last
        by_network.setdefault((bind.network, bind.proto), []).append((place, bind))
    for binds in by_network.values():
        if len(binds) > 1:
            yield from _shadowed_in_network(binds)


def _shadowed_in_network(binds: list[tuple[FieldPath, Bind]]) -> Iterator[Note]:
    taken = _Ports()
    binds.sort(key=lambda entry: entry[0], reverse=True)
    for place, bind in sorted(binds, key=lambda entry: entry[1].precedence):  # stable: else the last in the file
        if not taken.add(bind.port_start, bind.port_end):
            yield warning(place, f"{bind} matches no packet: each of its ports belongs to a narrower range")


class _Ports:
    """A set of ports."""

    def __init__(self) -> None:
        self._bits = 0

    def add(self, first: int, last: int) -> bool:
        """Add the ports from the first to the last. Returns whether one of them is new."""
        mask = (1 << last + 1) - (1 << first)
        is_new = self._bits & mask != mask
        self._bits |= mask
        return is_new


def _backends(place: FieldPath, table: Judged, used: Mapping[Address, str], host: Host | None) -> Iterator[Note]:
    for position, backend in enumerate(table.backends):
        here = (*place, position, "ip")
        objection = _objection_to_backend(backend.address, used, host)
        if objection is not None:
            yield error(here, f"{backend.address} {objection}")
        elif (block := around(backend.address)) is not None:
            yield warning(here, f"{backend.address} is {block.kind}: {block.why}, so it is reachable on one link only")


def _objection_to_backend(address: Address, used: Mapping[Address, str], host: Host | None) -> str | None:
    block = around(address)
    if block is not None and not address.is_link_local:
        return f"is {block.kind}: {block.why}; a backend needs an address that the tunnel's packets can reach"
    if address in used:
        return f"is {used[address]}: the tunnel's packets would not leave this host; use a proxy's address"
    if host is not None and address in host.addresses:
        interface = host.addresses[address]
        return f"is an address of this host, on {interface}: the tunnel's packets would not leave it"
    if host is not None and isinstance(address, IPv4Address) and address in host.broadcasts:
        return f"is the broadcast address of the network on {host.broadcasts[address]}; use a proxy's address"
    return None


def _vips_of_proxies(place: FieldPath, table: Judged) -> Iterator[Note]:
    """Binds that contain an address of a backend."""
    lengths = {(bind.family, bind.network.prefixlen) for bind in table.binds}
    held = {
        prefix_key(backend.address, length)
        for backend in table.backends
        for family, length in lengths
        if family == backend.address.version
    }
    for position, bind in enumerate(table.binds):
        if prefix_key(bind.network.network_address, bind.network.prefixlen) not in held:
            continue
        here = (*place, "binds", position, "ip")
        if bind.network.num_addresses == 1:
            what = "is a backend's own address; a VIP is an additional address, which all proxies of the table have"
            yield error(here, f"{_text(bind.network)} {what}")
        else:
            what = "contains addresses of backends: packets to these that pass this director are sent to its table"
            yield warning(here, f"{bind.network} {what}")


def prefix_key(address: Address, length: int) -> tuple[int, int, int]:
    """A key that all addresses of one prefix share, and no others."""
    return address.version, length, int(address) >> address.max_prefixlen - length


def _keys(place: FieldPath, table: Judged) -> Iterator[Note]:
    for key, value in (("hash_key", table.hash_key), ("seed", table.seed)):
        if value in EXAMPLE_KEYS:
            yield warning(
                (*place, key),
                f"{value.hex()} is {EXAMPLE_KEYS[value]}: with a known key, an attacker can aim all connections "
                "at one backend; generate a key with `openssl rand -hex 16` (in a table in use, a new key moves its "
                "connections)",
            )


def _checks(place: FieldPath, table: Judged) -> Iterator[Note]:
    """Each kind of doubt once per table, at the first backend that it concerns."""
    kinds: dict[str, list[tuple[FieldPath, str]]] = {}
    for position, backend in enumerate(table.backends):
        for key, what in _doubts(backend):
            kinds.setdefault(key, []).append(((*place, position, "healthchecks", key), what))
    for found in kinds.values():
        (where, what), *others = found
        yield warning(where, what + (f" (and {len(others)} further backends of this table)" if others else ""))


def _doubts(backend: Backend) -> Iterator[tuple[str, str]]:
    policy, checks = backend.policy, backend.healthchecks
    if _is_checked(checks) and policy.timeout_ms > policy.interval_ms:
        yield (
            "timeout_ms",
            f"{policy.timeout_ms} is above `interval_ms`, {policy.interval_ms}: each check waits for the previous one: "
            f"a backend that does not answer gets new connections for up to {policy.seconds_to_fall:g} s",
        )
    if checks.gue not in (None, TUNNEL_PORT):
        yield "gue", f"{checks.gue}, but proxies of glb receive tunnelled packets on port {TUNNEL_PORT} only"
    if checks.fou is not None and not _is_checked(checks):
        yield "fou", "is accepted but not made, and there is no other check: only `healthy` decides"


def _is_checked(checks: HealthChecks) -> bool:
    made = (checks.gue, checks.tcp, checks.http, checks.https, checks.vip_tcp, checks.vip_http)
    return any(port is not None for port in made)


def _all_binds(tables: Tables) -> Iterator[tuple[FieldPath, Bind]]:
    for index, table in enumerate(tables):
        for position, bind in enumerate(table.binds):
            yield ("tables", index, "binds", position), bind


def first_bind_of(family: int, tables: Tables) -> str | None:
    """The field of the first bind of an IP version, as text; None if there is none."""
    return next((field_text(place) for place, bind in _all_binds(tables) if bind.family == family), None)


def _text(network: Network) -> str:
    return str(network.network_address if network.num_addresses == 1 else network)
