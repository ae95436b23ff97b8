# SPDX-License-Identifier: MIT
"""The interface of a BGP speaker, which BIRD and ExaBGP implement."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from glb.config.model import Network
from glb.config.routing import Routing

ESTABLISHED = "established"

GRACEFUL_SHUTDOWN = "65535:0"
"""The community by which a router prefers any other path (RFC 8326)."""


@dataclass(frozen=True, slots=True)
class Session:
    """A BGP session. peer: its address; for the operator's BIRD the protocol's name. state: in lower case."""

    peer: str
    state: str

    @property
    def established(self) -> bool:
        return self.state == ESTABLISHED


class Speaker(Protocol):
    """A BGP speaker, which runs independently of this process: routes stay announced until they are withdrawn.

    The methods block, and raise RoutingError.
    """

    def start(self, routing: Routing) -> bool:
        """Start the speaker with these sessions and no routes, or adopt one that an earlier daemon left.

        An adopted speaker keeps its routes. Returns whether the speaker was adopted.
        """

    def announce(self, prefixes: Sequence[Network], graceful_shutdown: Collection[Network] = ()) -> None:
        """Announce these prefixes and no others. graceful_shutdown: the prefixes to send with GRACEFUL_SHUTDOWN."""

    def withdraw(self) -> None:
        """Withdraw all routes, and keep the sessions."""

    def sessions(self) -> tuple[Session, ...]:
        """The state of each peer's session."""

    def stop(self) -> None:
        """Stop the speaker, which ends its sessions. The operator's own speaker keeps running."""
