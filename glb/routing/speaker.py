# SPDX-License-Identifier: MIT
"""What a director wants of a BGP speaker, whichever it is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from glb.config.model import Network
from glb.config.routing import Routing

ESTABLISHED = "established"

GRACEFUL_SHUTDOWN = "65535:0"
"""The community that asks a router to prefer any other path (RFC 8326)."""


@dataclass(frozen=True, slots=True)
class Session:
    """A BGP session: the peer's address or, of an operator's BIRD, its protocol's name; and the state in lower case."""

    peer: str
    state: str

    @property
    def established(self) -> bool:
        return self.state == ESTABLISHED


class Speaker(Protocol):
    """A BGP speaker that outlives this process: what was announced stays announced until it is withdrawn.

    Its methods block, and raise RoutingError.
    """

    def start(self, routing: Routing) -> bool:
        """Start the speaker with these sessions, announcing nothing; or adopt one that an earlier daemon left.

        One that is adopted goes on announcing what it did. Returns whether it was adopted.
        """

    def announce(self, prefixes: Sequence[Network], graceful_shutdown: Collection[Network] = ()) -> None:
        """Announce exactly these prefixes, in place of what is announced; some of them with GRACEFUL_SHUTDOWN."""

    def withdraw(self) -> None:
        """Announce nothing; the sessions stay."""

    def sessions(self) -> tuple[Session, ...]:
        """The state of each peer's session."""

    def stop(self) -> None:
        """End the speaker and so its sessions. An operator's own is left to run."""
