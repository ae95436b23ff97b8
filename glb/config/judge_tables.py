# SPDX-License-Identifier: MIT
"""Whether a director can serve forwarding tables that are well-formed: their values against each other, against the
director's configuration, and against its host. Pure.

The tables may come from a JSON source or from a binary. The places that notes name are those of a JSON source.
"""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Protocol

from glb.config.field import FieldPath, field_text
from glb.config.health import HealthChecks
from glb.config.host import Host
from glb.config.model import Address, Backend, Bind, DirectorConfig, Network
from glb.config.note import Note, error, warning
from glb.config.special_addresses import around

EXAMPLE_KEYS = {
    bytes.fromhex("000102030405060708090a0b0c0d0e0f"): "the example of README.md",
    bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"): "the example of README.md",
    bytes(16): "all zero",
}
TUNNEL_PORT = 19523
"""The UDP port that proxies take tunnelled packets on."""


class Judged(Protocol):
    """A table of either kind. seed: None where a binary does not have it."""

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
    """What keeps a director from serving the tables, or from serving them as they seem to be meant.

    config, host: the director's, as far as they are known.
    """
    used = addresses_in_use(config, host)
    yield from _binds(tables, used, host)
    yield from _shadowed(tables)
    for index, table in enumerate(tables):
        place: FieldPath = ("tables", index)
        yield from _backends((*place, "backends"), table, used, host)
        yield from _vips_of_proxies(place, table)
        yield from _keys(place, table)
        yield from _checks((*place, "backends"), table)


def addresses_in_use(config: DirectorConfig | None, host: Host | None) -> Mapping[Address, str]:
    """The addresses by which the director talks to others, and what each is."""
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
            "holds every address, this director's own among them: answers to its health checks, its BGP sessions and "
            "SSH would go to backends; give the networks of the VIPs alone"
        )
    block = around(network)
    if block is not None:
        return f"is {block.kind}: {block.why}; a VIP is an address that routers forward"
    address = next((address for address in used if address in network), None)
    if address is not None:
        whose = f"is {used[address]}" if network.num_addresses == 1 else f"holds {address}, {used[address]}"
        return (
            f"{whose}: packets to it, such as answers to health checks, BGP and SSH, would go to backends; give the "
            "VIPs addresses of their own"
        )
    interface = _broadcast_interface(network, host)
    return f"is the broadcast address of the network on {interface}; a VIP is one host's address" if interface else None


def _broadcast_interface(network: Network, host: Host | None) -> str | None:
    address = network.network_address
    if host is None or network.num_addresses > 1 or not isinstance(address, IPv4Address):
        return None
    return host.broadcasts.get(address)


def _shadowed(tables: Tables) -> Iterator[Note]:
    """Binds to ports of a network each of which a narrower range of the same network takes."""
    by_network: dict[tuple[Network, str], list[tuple[FieldPath, Bind]]] = {}
    for place, bind in _all_binds(tables):
        by_network.setdefault((bind.network, bind.proto), []).append((place, bind))
    for binds in by_network.values():
        if len(binds) > 1:
            yield from _shadowed_in_network(binds)


def _shadowed_in_network(binds: list[tuple[FieldPath, Bind]]) -> Iterator[Note]:
    taken = _Ports()
    for place, bind in sorted(binds, key=lambda entry: entry[1].precedence):  # stable: else the first in the file
        if not taken.add(bind.port_start, bind.port_end):
            yield warning(place, f"{bind} matches no packet: narrower ranges of ports take each of its ports")


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
            yield warning(here, f"{backend.address} is {block.kind}: {block.why}, so it is reached on one link alone")


def _objection_to_backend(address: Address, used: Mapping[Address, str], host: Host | None) -> str | None:
    block = around(address)
    if block is not None and not address.is_link_local:
        return f"is {block.kind}: {block.why}; a backend's address is one that the tunnel's packets reach"
    if address in used:
        return f"is {used[address]}: the tunnel's packets would not leave this host; give a proxy's address"
    if host is not None and address in host.addresses:
        interface = host.addresses[address]
        return f"is an address of this host, on {interface}: the tunnel's packets would not leave it"
    if host is not None and isinstance(address, IPv4Address) and address in host.broadcasts:
        return f"is the broadcast address of the network on {host.broadcasts[address]}; give a proxy's address"
    return None


def _vips_of_proxies(place: FieldPath, table: Judged) -> Iterator[Note]:
    """Binds that hold an address of a backend."""
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
            what = "is a backend's own address; a VIP is one that all proxies of the table have beside their own"
            yield error(here, f"{_text(bind.network)} {what}")
        else:
            what = "holds addresses of backends: packets to a backend itself that pass this director go to its table"
            yield warning(here, f"{bind.network} {what}")


def prefix_key(address: Address, length: int) -> tuple[int, int, int]:
    """The same for all addresses of one prefix, and for no others."""
    return address.version, length, int(address) >> address.max_prefixlen - length


def _keys(place: FieldPath, table: Judged) -> Iterator[Note]:
    for key, value in (("hash_key", table.hash_key), ("seed", table.seed)):
        if value in EXAMPLE_KEYS:
            yield warning(
                (*place, key),
                f"{value.hex()} is {EXAMPLE_KEYS[value]}: whoever knows it can aim all his connections at one backend; "
                "make your own by `openssl rand -hex 16` (for a table in use, another key moves its connections)",
            )


def _checks(place: FieldPath, table: Judged) -> Iterator[Note]:
    """Each kind of doubt once a table, at the first backend that it concerns."""
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
            f"{policy.timeout_ms} is above `interval_ms`, {policy.interval_ms}: each check waits for the one before: a "
            f"backend that does not answer gets new connections for up to {policy.seconds_to_fall:g} s",
        )
    if checks.gue not in (None, TUNNEL_PORT):
        yield "gue", f"{checks.gue}, but proxies of glb take tunnelled packets on port {TUNNEL_PORT} alone"
    if checks.fou is not None and not _is_checked(checks):
        yield "fou", "is accepted and not made, and no other check is there: `healthy` alone decides"


def _is_checked(checks: HealthChecks) -> bool:
    made = (checks.gue, checks.tcp, checks.http, checks.https, checks.vip_tcp, checks.vip_http)
    return any(port is not None for port in made)


def _all_binds(tables: Tables) -> Iterator[tuple[FieldPath, Bind]]:
    for index, table in enumerate(tables):
        for position, bind in enumerate(table.binds):
            yield ("tables", index, "binds", position), bind


def first_bind_of(family: int, tables: Tables) -> str | None:
    """Where the first bind of an IP version stands, as people write it."""
    return next((field_text(place) for place, bind in _all_binds(tables) if bind.family == family), None)


def _text(network: Network) -> str:
    return str(network.network_address if network.num_addresses == 1 else network)
