# SPDX-License-Identifier: MIT
"""The configuration of BIRD 2 as text. Pure.

Static protocols hold the prefixes, and the sessions export all of them. So a change of prefixes is a reconfiguration
that does not affect the sessions.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from glb.config.model import Network
from glb.config.routing import BgpPeer, Routing
from glb.routing.speaker import GRACEFUL_SHUTDOWN

STATIC = {4: "glb4", 6: "glb6"}
"""The names of the two protocols that hold the prefixes; the operator's BIRD exports these protocols."""

_LOG_BYTES = 1 << 20  # then BIRD renames it to .old; the file is in memory, under /run
_HEADER = "# Written by glb, and overwritten at each change: edit the director's configuration instead."


def bird_config(
    routing: Routing, prefixes: Sequence[Network], log: Path, graceful_shutdown: Collection[Network] = ()
) -> str:
    """The whole configuration for a BIRD that glb starts. graceful_shutdown: the prefixes with this community."""
    bfd = (
        f"protocol bfd {{\n"
        f'\tinterface "*" {{ interval {routing.bfd_interval_ms} ms; multiplier {routing.bfd_multiplier}; }};\n'
        f"\tmultihop {{ interval {routing.bfd_interval_ms} ms; multiplier {routing.bfd_multiplier}; }};\n"
        f"}}"
    )
    parts = [
        _HEADER,
        f'log "{log}" {_LOG_BYTES} "{log}.old" {{ info, warning, error, fatal, bug, remote, auth }};',
        f"router id {routing.router_id};",
        "protocol device {\n}",
        *([bfd] if any(peer.bfd for peer in routing.peers) else []),
        *(_session(f"peer{number}", peer, routing) for number, peer in enumerate(routing.peers, 1)),
        _routes(routing, prefixes, graceful_shutdown),
    ]
    return "\n".join(parts) + "\n"


def bird_routes(routing: Routing, prefixes: Sequence[Network], graceful_shutdown: Collection[Network] = ()) -> str:
    """The part that the operator's BIRD includes: the prefixes only."""
    return f"{_HEADER}\n{_routes(routing, prefixes, graceful_shutdown)}\n"


def peer_of(name: str, routing: Routing) -> str:
    """The address of the peer that belongs to a protocol's name."""
    return str(routing.peers[int(name.removeprefix("peer")) - 1].address)


def _routes(routing: Routing, prefixes: Sequence[Network], graceful_shutdown: Collection[Network]) -> str:
    def communities(prefix: Network) -> tuple[str, ...]:
        return (*routing.communities, *([GRACEFUL_SHUTDOWN] if prefix in graceful_shutdown else []))

    parts = []
    for family, name in STATIC.items():
        routes = "".join(_route(prefix, communities(prefix)) for prefix in prefixes if prefix.version == family)
        parts.append(f"protocol static {name} {{\n\tipv{family};\n{routes}}}")
    return "\n".join(parts)


def _route(prefix: Network, communities: Sequence[str]) -> str:
    attributes = " ".join(map(_add, communities))
    return f"\troute {prefix} unreachable" + (f" {{ {attributes} }};\n" if attributes else ";\n")


def _add(community: str) -> str:
    numbers = community.split(":")
    kind = "bgp_community" if len(numbers) == 2 else "bgp_large_community"
    return f"{kind}.add(({', '.join(numbers)}));"


def _session(name: str, peer: BgpPeer, routing: Routing) -> str:
    """A session that reconnects within seconds; BIRD's defaults are minutes."""
    lines = [
        f"local {f'{peer.local_address} ' if peer.local_address else ''}as {routing.local_as};",
        f"neighbor {peer.address} as {peer.asn};",
        f"multihop {peer.multihop};" if peer.multihop else "direct;",
        f"hold time {routing.hold_time};",
        f"keepalive time {max(routing.hold_time // 3, 1)};",
        "connect delay time 1;",
        "connect retry time 5;",
        "error wait time 1, 10;",
        *([f'password "{peer.password}";'] if peer.password else []),
        *(["bfd on;"] if peer.bfd else []),
        *_channels(peer),
    ]
    return f"protocol bgp {name} {{\n" + "".join(f"\t{line}\n" for line in lines) + "}"


def _channels(peer: BgpPeer) -> Iterator[str]:
    for family, static in STATIC.items():
        if peer.carries(family):
            next_hop = peer.next_hop(family)
            how = f"address {next_hop}" if next_hop else "self"
            yield f'ipv{family} {{ import none; export where proto = "{static}"; next hop {how}; }};'
