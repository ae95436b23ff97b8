# SPDX-License-Identifier: MIT
"""What directors and proxies decide on a flow's packets."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class DirectorProbe:
    """What a director does with a flow's packets.

    table, bind, row, hops: by the files; None and () if no bind matches. action: what XDP does. sent: the hops in the
    tunnel that the program made, the first one included; () if it made none. Their order follows health, of which
    the files may not know.
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
        """Whether the program does what the files say."""
        return set(self.hops) == set(self.sent)


class Decision(StrEnum):
    """What a proxy does with a packet."""

    TAKEN = "taken"
    SENT_ON = "sent on"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class ProxyProbe:
    """first: what becomes of the packet that begins a connection. later: of its other packets, at this moment: they are
    taken if a socket here knows the connection, else sent on."""

    interface: str
    first: Decision
    later: Decision
