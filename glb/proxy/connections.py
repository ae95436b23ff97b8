# SPDX-License-Identifier: MIT
"""Counts the TCP connections of this host by bind."""

from collections import Counter
from collections.abc import Mapping, Sequence

from glb.config.model import Bind, Proto
from glb.network.sockets import LocalEnd, Ports, TcpState, count_sockets

States = Mapping[TcpState, int]


def count_connections(binds: Sequence[Bind], namespaces: Sequence[str]) -> dict[Bind, States]:
    """The TCP sockets of this network namespace and of others, by bind and state.

    Raises NetworkError if a namespace cannot be read: the count would be too low.
    """
    ports = merged_ports(binds)
    ends = count_sockets(ports)
    for namespace in namespaces:
        ends += count_sockets(ports, namespace)
    return by_bind(ends, binds)


def by_bind(ends: Mapping[LocalEnd, int], binds: Sequence[Bind]) -> dict[Bind, States]:
    """Count each socket under the bind that a director chooses for its packets. binds: in the order of the file."""
    counts: dict[Bind, Counter[TcpState]] = {bind: Counter() for bind in binds}
    tcp = [bind for bind in reversed(binds) if bind.proto is Proto.TCP]
    ranked = sorted(tcp, key=lambda bind: bind.precedence)  # stable: of equals, the last in the file
    for end, number in ends.items():
        chosen = next((bind for bind in ranked if _matches(bind, end)), None)
        if chosen is not None:
            counts[chosen][end.state] += number
    return dict(counts)


def merged_ports(binds: Sequence[Bind]) -> list[Ports]:
    """The local ports of all TCP binds, in as few ranges as possible: the kernel compares each socket with each
    range."""
    merged: list[Ports] = []
    for first, last in sorted((bind.port_start, bind.port_end) for bind in binds if bind.proto is Proto.TCP):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _matches(bind: Bind, end: LocalEnd) -> bool:
    return bind.port_start <= end.port <= bind.port_end and end.address in bind.network
