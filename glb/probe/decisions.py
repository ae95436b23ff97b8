# SPDX-License-Identifier: MIT
"""The decisions of directors and proxies on a flow's packets."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class DirectorProbe:
    """A director's decision on a flow's packets.

    table, bind, row, hops: by the files; None and () if no bind matches. action: the XDP action. sent: the hops in the
    program's tunnel headers, the first one included; () without a tunnel. Their order follows health, which is not in
    the files.
    """

    interface: str
    table: str | None
    bind: str | None
    row: int | None
    hops: tuple[str, ...]
    action: str
    sent: tuple[str, ...]
    tunnel_source_port: int | None

    @property
    def agrees(self) -> bool:
        """Whether program and files have the same hops."""
        return set(self.hops) == set(self.sent)


class Decision(StrEnum):
    """A proxy's decision on a packet."""

    TAKEN = "taken"
    SENT_ON = "sent on"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class ProxyProbe:
    """A proxy's decisions on a flow. first: on the packet that begins a connection. later: on its other packets, at
    this moment: taken if a socket on this host knows the connection, else forwarded."""

    interface: str
    first: Decision
    later: Decision
