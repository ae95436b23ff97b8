# SPDX-License-Identifier: MIT
"""ExaBGP's configuration, and the routes in the format of its API, as text. Pure."""

from collections.abc import Collection, Sequence

from glb.config.model import Network
from glb.config.routing import BgpPeer, Routing
from glb.routing.speaker import GRACEFUL_SHUTDOWN

PROCESS = "glb"
"""The name of the agent in ExaBGP's configuration."""


def exabgp_config(routing: Routing, agent: Sequence[str]) -> str:
    """The sessions and the agent that ExaBGP runs; routes are announced by its API. agent: its command."""
    neighbours = "".join(_neighbour(peer, routing) for peer in routing.peers)
    return (
        "# Written by glb: edit the director's configuration instead.\n"
        f"process {PROCESS} {{\n\trun {' '.join(agent)};\n\tencoder json;\n}}\n{neighbours}"
    )


def exabgp_routes(
    routing: Routing, prefixes: Sequence[Network], graceful_shutdown: Collection[Network] = ()
) -> dict[str, tuple[str, str]]:
    """The routes by unique names, as (neighbour, route): the command is "neighbour announce route"."""
    routes = {}
    for peer in routing.peers:
        for prefix in prefixes:
            if peer.carries(prefix.version):
                route = f"route {prefix} next-hop {peer.next_hop(prefix.version) or 'self'}"
                routes[f"{peer.address} {prefix}"] = (
                    f"neighbor {peer.address}",
                    f"{route}{_attributes(routing, prefix in graceful_shutdown)}",
                )
    return routes


def _attributes(routing: Routing, graceful_shutdown: bool) -> str:
    communities = [*routing.communities, *([GRACEFUL_SHUTDOWN] if graceful_shutdown else [])]
    standard = [community for community in communities if community.count(":") == 1]
    large = [community for community in communities if community.count(":") == 2]
    text = f" community [{' '.join(standard)}]" if standard else ""
    return text + (f" large-community [{' '.join(large)}]" if large else "")


def _neighbour(peer: BgpPeer, routing: Routing) -> str:
    families = [f"ipv{family} unicast;" for family in (4, 6) if peer.carries(family)]
    lines = [
        f"router-id {routing.router_id};",
        f"local-address {peer.local_address or 'auto'};",
        f"local-as {routing.local_as};",
        f"peer-as {peer.asn};",
        f"hold-time {routing.hold_time};",
        *([f"outgoing-ttl {peer.multihop};"] if peer.multihop else []),
        *([f'md5-password "{peer.password}";'] if peer.password else []),
        f"family {{ {' '.join(families)} }}",
        f"api {{ processes [ {PROCESS} ]; neighbor-changes; }}",
    ]
    return f"neighbor {peer.address} {{\n" + "".join(f"\t{line}\n" for line in lines) + "}\n"
