# SPDX-License-Identifier: MIT
"""Merging the events of several hosts: those of one packet together, in the order of its path. Pure."""

from dataclasses import dataclass, field
from itertools import count

from glb.capture.event import Event

HOLD_SECONDS = 1.0
"""How long a packet is kept after its first event was added, so that the others can be added too."""
_LEAST_SECONDS = HOLD_SECONDS / 2  # within which the events of earlier packets arrive as well


@dataclass(slots=True)
class _Path:
    """A packet's events. added: when the first was added, in seconds of the caller's clock."""

    added: float
    events: list[Event] = field(default_factory=list)

    @property
    def in_order(self) -> list[Event]:
        return sorted(self.events, key=lambda event: (event.step, event.time))

    @property
    def time(self) -> float:
        """By the clock of the first host on the path."""
        return self.in_order[0].time

    def has_passed(self, event: Event) -> bool:
        """Whether the event's interface has one here already: then it is of another packet with the same content."""
        return any((other.host, other.interface) == (event.host, event.interface) for other in self.events)


class Merge:
    """Keeps a packet's events together, in the order of the packet's path, whatever the hosts' clocks say.

    Packets are in the order of time, each by the clock of the first host that reports it.
    """

    def __init__(self) -> None:
        self._paths: dict[tuple[str, int], _Path] = {}  # by the packet's digest and, of several alike, a number

    def add(self, event: Event, now: float) -> None:
        """now: in seconds of a monotonic clock, as in `take`."""
        digest = event.packet.digest if event.packet else ""
        for number in count():
            path = self._paths.setdefault((digest, number), _Path(now))
            if not path.events or (digest and not path.has_passed(event)):
                path.events.append(event)
                return

    def take(self, now: float) -> list[Event]:
        """Remove and return the packets that were kept long enough, in their order; if now is infinite, all packets.

        Earlier packets that were added a little later are returned with them.
        """
        times = {key: path.time for key, path in self._paths.items() if now - path.added >= _LEAST_SECONDS}
        last = max((time for key, time in times.items() if now - self._paths[key].added >= HOLD_SECONDS), default=None)
        if last is None:
            return []
        keys = sorted((key for key, time in times.items() if time <= last), key=lambda key: times[key])
        return [event for key in keys for event in self._paths.pop(key).in_order]
