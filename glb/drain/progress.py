# SPDX-License-Identifier: MIT
"""How far a drain has come, worked out from one look at the proxy after the other. Nothing here touches the system."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from glb.drain.agent import Answer

HOLDING = frozenset({"established", "syn_recv", "fin_wait1", "fin_wait2", "close_wait", "last_ack", "closing"})
"""The states of a connection that is not over: the client's next packets must find this proxy."""

OVER = "time_wait"
"""The state of one that is: both sides have closed it, and nothing that comes still matters."""

_LOOKS_WITHOUT = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known after some looks. Rates are packets a second between the last two, None until there are two."""

    waited_for: Collection[str] = HOLDING
    answer: Answer | None = None
    """The last one, also if the proxy does not answer any more."""
    at: float = 0
    """When it came, in seconds of a clock that never goes back."""
    most: int = 0
    """The most connections that were seen at once."""
    looks_without: int = 0
    """How often in a row there was no connection."""
    established_rate: float | None = None
    """Of packets that were taken because a socket knows them."""
    new_rate: float | None = None
    """Of packets that were taken as beginnings of connections."""
    error: str | None = None
    """Why the last look failed."""

    @property
    def left(self) -> int | None:
        """Connections that are waited for; None as long as the proxy has not answered at all."""
        if self.answer is None:
            return None
        return sum(number for state, number in self.answer.sockets.items() if state in self.waited_for)

    @property
    def drained(self) -> bool:
        """Whether no connection is left. One look is not enough: the beginning of one may have been on its way."""
        return self.looks_without >= _LOOKS_WITHOUT

    def after(self, answer: Answer, at: float) -> "Progress":
        """What is known after an answer."""
        seen = replace(self, answer=answer, at=at, error=None)
        left = seen.left or 0
        return replace(
            seen,
            most=max(self.most, left),
            looks_without=0 if left else self.looks_without + 1,
            established_rate=self._rate(answer, at, "taken_established"),
            new_rate=self._rate(answer, at, "taken_syn", "taken_handshake", "taken_syncookie"),
        )

    def after_failure(self, error: str) -> "Progress":
        """What is known after a look that failed: nothing new, and no connection may be thought to be gone."""
        return replace(self, error=error, looks_without=0, established_rate=None, new_rate=None)

    def _rate(self, answer: Answer, at: float, *verdicts: str) -> float | None:
        """None also where the counters have begun anew in between."""
        if self.answer is None or self.error is not None or at <= self.at:
            return None
        more = sum(answer.packets.get(name, 0) - self.answer.packets.get(name, 0) for name in verdicts)
        return more / (at - self.at) if more >= 0 else None
