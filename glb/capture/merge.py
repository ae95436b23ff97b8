# SPDX-License-Identifier: MIT
"""What several hosts tell of one client's packets, put into the order of one story. Pure."""

from dataclasses import dataclass, field
from itertools import count

from glb.capture.told import Told

HOLD_SECONDS = 1.0
"""How long a packet is kept back after its first visit was added, so that the others can be added too."""
_LEAST_SECONDS = HOLD_SECONDS / 2  # within which what earlier packets' hosts tell arrives as well


@dataclass(slots=True)
class _Way:
    """A packet's visits. added: when the first came here, in seconds of the caller's clock."""

    added: float
    visits: list[Told] = field(default_factory=list)

    @property
    def in_order(self) -> list[Told]:
        return sorted(self.visits, key=lambda told: (told.step, told.time))

    @property
    def time(self) -> float:
        """By the clock of the first host on the way."""
        return self.in_order[0].time

    def has_passed(self, told: Told) -> bool:
        """Whether a packet that came there is another one, with the same content."""
        return any((visit.host, visit.interface) == (told.host, told.interface) for visit in self.visits)


class Merge:
    """Keeps what a packet's hosts tell together, in the order of the packet's way, whatever their clocks say.

    Packets come in the order of time, each by the clock of the first host that tells of it.
    """

    def __init__(self) -> None:
        self._ways: dict[tuple[str, int], _Way] = {}  # by the packet's digest and, of several alike, a number

    def add(self, told: Told, now: float) -> None:
        """now: in seconds of a clock that only runs forward, as in `take`."""
        digest = told.packet.digest if told.packet else ""
        for number in count():
            way = self._ways.setdefault((digest, number), _Way(now))
            if not way.visits or (digest and not way.has_passed(told)):
                way.visits.append(told)
                return

    def take(self, now: float) -> list[Told]:
        """Take out what has been kept for long enough, in its order; all that is left, if now is infinite.

        With a packet come those that were earlier and arrived a little later.
        """
        times = {key: way.time for key, way in self._ways.items() if now - way.added >= _LEAST_SECONDS}
        last = max((time for key, time in times.items() if now - self._ways[key].added >= HOLD_SECONDS), default=None)
        if last is None:
            return []
        keys = sorted((key for key, time in times.items() if time <= last), key=lambda key: times[key])
        return [told for key in keys for told in self._ways.pop(key).in_order]
