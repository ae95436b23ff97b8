"""What must hold between the values of a file, each of them being well-formed."""

from collections.abc import Iterator

from glb.config.model import Address, Bind, DirectorConfig, ForwardingTables, ProxyConfig, State, Table
from glb.config.routing import Routing, Speaker

Place = tuple[str | int, ...]
Problem = tuple[Place, str]

MAX_NAMESPACES = 8


def field_path(place: Place) -> str:
    """("tables", 0, "backends") as people write it: tables[0].backends."""
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path


def find_problems(tables: ForwardingTables) -> Iterator[Problem]:
    """Every contradiction in the source, as its place and what is wrong there."""
    if not tables.tables:
        yield ("tables",), "no table; without one there is nothing to forward"
    yield from _repeated_names(tables)
    yield from _repeated_binds(tables)
    for index, table in enumerate(tables.tables):
        yield from _repeated_backends(("tables", index, "backends"), table)
        yield from _unusable(("tables", index), table)
        yield from _unknown_vips(("tables", index, "backends"), table)


def find_director_problems(config: DirectorConfig) -> Iterator[Problem]:
    """Every contradiction in a director's configuration."""
    if config.routing is not None:
        yield from _routing_problems(config.routing)


def find_proxy_problems(config: ProxyConfig) -> Iterator[Problem]:
    """Every contradiction in a proxy's configuration."""
    for key, entries in (("sources", config.sources), ("namespaces", config.namespaces)):
        for index, entry in enumerate(entries):
            first = entries.index(entry)
            if first < index:
                yield (key, index), f"{entry} is already {field_path((key, first))}"
    if len(config.namespaces) > MAX_NAMESPACES:
        yield ("namespaces",), f"{len(config.namespaces)} namespaces; at most {MAX_NAMESPACES} are searched for sockets"


def _repeated_names(tables: ForwardingTables) -> Iterator[Problem]:
    first: dict[str, Place] = {}
    for index, table in enumerate(tables.tables):
        place = ("tables", index, "name")
        if table.name in first:
            yield place, f'"{table.name}" is already {field_path(first[table.name])}'
        first.setdefault(table.name, place)


def _repeated_binds(tables: ForwardingTables) -> Iterator[Problem]:
    first: dict[Bind, Place] = {}
    for index, table in enumerate(tables.tables):
        for position, bind in enumerate(table.binds):
            place = ("tables", index, "binds", position)
            if bind in first:
                yield place, f"{bind} is already {field_path(first[bind])}"
            first.setdefault(bind, place)


def _repeated_backends(place: Place, table: Table) -> Iterator[Problem]:
    first: dict[Address, Place] = {}
    for position, backend in enumerate(table.backends):
        here = (*place, position)
        if backend.address in first:
            yield (*here, "ip"), f"{backend.address} is already {field_path(first[backend.address])}"
        first.setdefault(backend.address, here)


def _unusable(place: Place, table: Table) -> Iterator[Problem]:
    if not table.binds:
        yield (*place, "binds"), "no bind; no packet would belong to this table"
    if not table.backends:
        yield (*place, "backends"), "no backend; there is nowhere to forward to"
    elif all(backend.state is State.INACTIVE for backend in table.backends):
        yield (*place, "backends"), "every backend is inactive; there is nowhere to forward to"


def _routing_problems(routing: Routing) -> Iterator[Problem]:
    first: dict[Address, Place] = {}
    for index, peer in enumerate(routing.peers):
        place = ("routing", "peers", index)
        if peer.address in first:
            yield (*place, "address"), f"{peer.address} is already {field_path(first[peer.address])}"
        first.setdefault(peer.address, place)
        if peer.bfd and routing.speaker is Speaker.EXABGP:
            yield (*place, "bfd"), "ExaBGP has no BFD; leave it out, or use BIRD"
    prefixes = routing.prefixes or ()
    for index, prefix in enumerate(prefixes):
        if prefixes.index(prefix) < index:
            earlier = field_path(("routing", "prefixes", prefixes.index(prefix)))
            yield ("routing", "prefixes", index), f"{prefix} is already {earlier}"


def _unknown_vips(place: Place, table: Table) -> Iterator[Problem]:
    for position, backend in enumerate(table.backends):
        for key in ("vip_tcp", "vip_http"):
            port = getattr(backend.healthchecks, key)
            if port is not None and table.vip(port) is None:
                yield (
                    (*place, position, "healthchecks", key),
                    f"{port}, but no bind of this table is a single address with this TCP port alone",
                )
