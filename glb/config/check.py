# SPDX-License-Identifier: MIT
"""Contradictions between the values of a file, each of which is well-formed."""

from collections.abc import Hashable, Iterable, Iterator

from glb.config.field import FieldPath, Problem, field_text
from glb.config.limits import MAX_BACKENDS, MAX_BACKENDS_PER_TABLE, MAX_BINDS, MAX_NAMESPACES, MAX_TABLES
from glb.config.model import Address, DirectorConfig, ForwardingTables, Proto, ProxyConfig, State, Table
from glb.config.routing import Routing, SpeakerKind
from glb.config.special_addresses import around


def find_problems(tables: ForwardingTables) -> Iterator[Problem]:
    """Every contradiction in a table file, with its field; only the sizes if they exceed the limits."""
    too_large = list(_excesses(tables))
    if too_large:
        yield from too_large
        return
    if not tables.tables:
        yield ("tables",), "no table; add at least one"
    places = [("tables", index) for index in range(len(tables.tables))]
    both = list(zip(places, tables.tables, strict=True))
    yield from repeated(((*place, "name"), f'"{table.name}"') for place, table in both)
    for place, table in both:
        yield from repeated(_backends(place, table), "ip")
        yield from _unusable(place, table)
        yield from _unknown_vips((*place, "backends"), table)
        yield from _sizes_without_gue((*place, "backends"), table)


def _excesses(tables: ForwardingTables) -> Iterator[Problem]:
    """The limits of docs/tables.md."""
    place = ("tables",)
    sizes = [len(table.backends) for table in tables.tables]
    backends, binds = sum(sizes), sum(len(table.binds) for table in tables.tables)
    if len(sizes) > MAX_TABLES:
        yield place, f"{len(sizes):,} tables; at most {MAX_TABLES:,} are supported"
    for index, size in enumerate(sizes):
        if size > MAX_BACKENDS_PER_TABLE:
            yield (
                (*place, index, "backends"),
                f"{size:,} backends; at most {MAX_BACKENDS_PER_TABLE:,} in one table are supported",
            )
    if backends > MAX_BACKENDS:
        yield place, f"{backends:,} backends in all tables; at most {MAX_BACKENDS:,} are supported"
    if binds > MAX_BINDS:
        yield place, f"{binds:,} binds in all tables; at most {MAX_BINDS:,} are supported"


def find_director_problems(config: DirectorConfig) -> Iterator[Problem]:
    """Every contradiction in a director's configuration."""
    if config.routing is not None:
        yield from _routing_problems(config.routing)


def find_proxy_problems(config: ProxyConfig) -> Iterator[Problem]:
    """Every contradiction in a proxy's configuration."""
    yield from repeated((("sources", index), source) for index, source in enumerate(config.sources))
    yield from repeated((("namespaces", index), name) for index, name in enumerate(config.namespaces))
    yield from _impossible_sources(config)
    yield from _agent_problems(config)
    if len(config.namespaces) > MAX_NAMESPACES:
        yield ("namespaces",), f"{len(config.namespaces)} namespaces; at most {MAX_NAMESPACES} are searched for sockets"


def _impossible_sources(config: ProxyConfig) -> Iterator[Problem]:
    for index, source in enumerate(config.sources):
        block = around(source)
        if block is not None and not source.is_link_local:
            yield ("sources", index), f"{source} is {block.kind}: no packet has this source"


def _agent_problems(config: ProxyConfig) -> Iterator[Problem]:
    agent, metrics = config.agent, config.metrics
    if agent is None:
        return
    yield from repeated((("agent", "listen", index), address) for index, address in enumerate(agent.listen))
    if metrics is None or metrics.listen.port != agent.port:
        return
    if not agent.listen or metrics.listen.address.is_unspecified or metrics.listen.address in agent.listen:
        yield (
            ("metrics", "listen"),
            f"{metrics.listen} is the address of the agent, whose port is {agent.port}; change one of them",
        )


def repeated(entries: Iterable[tuple[FieldPath, Hashable]], *key: str) -> Iterator[Problem]:
    """The entries that are equal to an earlier one. key: the field below an entry's place that the problem names."""
    first: dict[Hashable, FieldPath] = {}
    for place, entry in entries:
        earlier = first.setdefault(entry, place)
        if earlier is not place:
            yield (*place, *key), f"{entry} is already {field_text(earlier)}"


def _backends(place: FieldPath, table: Table) -> Iterator[tuple[FieldPath, Address]]:
    return (((*place, "backends", position), backend.address) for position, backend in enumerate(table.backends))


def _unusable(place: FieldPath, table: Table) -> Iterator[Problem]:
    if not table.binds:
        yield (*place, "binds"), "no bind; no packet belongs to this table"
    if not table.backends:
        yield (*place, "backends"), "no backend; packets cannot be forwarded"
    elif all(backend.state is State.INACTIVE for backend in table.backends):
        yield (*place, "backends"), "every backend is inactive; packets cannot be forwarded"


def _routing_problems(routing: Routing) -> Iterator[Problem]:
    peers = [(("routing", "peers", index), peer) for index, peer in enumerate(routing.peers)]
    yield from repeated(((place, peer.address) for place, peer in peers), "address")
    for place, peer in peers:
        if peer.bfd and routing.speaker is SpeakerKind.EXABGP:
            yield (*place, "bfd"), "ExaBGP does not support BFD; remove the key, or use BIRD"
    prefixes = routing.prefixes or ()
    yield from repeated((("routing", "prefixes", index), prefix) for index, prefix in enumerate(prefixes))


def _unknown_vips(place: FieldPath, table: Table) -> Iterator[Problem]:
    ports = {bind.port_start for bind in table.binds if bind.is_exact and bind.proto is Proto.TCP}
    for position, backend in enumerate(table.backends):
        for key in ("vip_tcp", "vip_http"):
            port = getattr(backend.healthchecks, key)
            if port is not None and port not in ports:
                yield (
                    (*place, position, "healthchecks", key),
                    f"{port}, but no bind of this table is a single address with only this TCP port",
                )


def _sizes_without_gue(place: FieldPath, table: Table) -> Iterator[Problem]:
    for position, backend in enumerate(table.backends):
        checks = backend.healthchecks
        if checks.gue_size is not None and checks.gue is None:
            yield (
                (*place, position, "healthchecks", "gue_size"),
                "sets the size of a `gue` check, but there is none; add `gue`, the port of the tunnel",
            )
