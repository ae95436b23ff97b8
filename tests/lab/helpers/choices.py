# SPDX-License-Identifier: MIT
"""Whether each packet of a stream went as some table says, and wholly so."""

from pathlib import Path

from glb.lab import hosts
from glb.scapy import check_tunnel
from tests.lab.helpers.commands import Choice, lookups
from tests.lab.helpers.director import Director
from tests.lab.helpers.packets import Inner, Tunnel, endpoint
from tests.lab.helpers.stream import Stream

Choices = dict[tuple[str, str], Choice | None]


def choices(director: Director, stream: Stream, path: Path | None = None) -> Choices:
    """What each of a stream's flows should meet with the table file as it is now."""
    flows = [(endpoint(client, 4711), endpoint(hosts.vip_for(client), port)) for client, port in stream.flows]
    told = lookups(director.lab, flows, "udp", path or director.table, director.config)
    return dict(zip(flows, told, strict=True))


def choice_of(tunnel: Tunnel) -> Choice:
    return Choice(tunnel.hops, tunnel.source_port)


def check_stream(tunnelled: list[Tunnel], passed: list[Inner], *tables: Choices) -> None:
    """Each packet went wholly as one of the tables says."""
    for tunnel in tunnelled:
        assert check_tunnel(tunnel.frame) == []
        assert choice_of(tunnel) in [choices[tunnel.inner.flow] for choices in tables]
    for inner in passed:
        assert None in [choices[inner.flow] for choices in tables]


def count_as(tunnelled: list[Tunnel], only: Choices) -> int:
    return sum(choice_of(tunnel) == only[tunnel.inner.flow] for tunnel in tunnelled)
