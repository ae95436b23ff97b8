# SPDX-License-Identifier: MIT
"""Live connections, as seen by their parent: cuts and waits while something happens to the lab."""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from glb.errors import LabError
from glb.lab.process import start_reporting

_BOUND_S = 60.0


@dataclass(frozen=True, slots=True)
class Beat:
    """The state of all connections at a time of the monotonic clock; times in seconds, counts since the start."""

    at: float
    living: int
    """Connections that are open."""
    ended: int
    """Connections that ended as planned."""
    cut: tuple[str, ...]
    """The errors of connections that were cut, or never made."""
    waiting: float
    """The longest current wait."""
    longest: float
    """The longest wait that ended since the last beat."""


@dataclass(slots=True)
class Experience:
    """The result, set at the end of the block: the number of connections, the errors of those that were cut, and the
    longest wait for an answer, in seconds."""

    connections: int = 0
    cut: tuple[str, ...] = ()
    stall: float = 0.0


class LiveConnections:
    """Live connections of clients of both address families, within a `with` block."""

    def __init__(self, namespace: str, connections: int, env: Mapping[str, str]) -> None:
        self.connections = connections
        self._beats: queue.SimpleQueue[Beat | None] = queue.SimpleQueue()
        self._child = start_reporting(namespace, "glb.lab.live_client", ["--connections", str(connections)], env)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "LiveConnections":
        self._next_where(lambda beat: beat.living == self.connections)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        self._child.wait()

    @contextmanager
    def during(self) -> Iterator[Experience]:
        """Observe from the start of the block until each connection has had an answer after its end."""
        began = time.monotonic()
        seen = Experience()
        yield seen
        ended = time.monotonic()
        beats = self._until(lambda beat: beat.at - beat.waiting > ended)
        within = [beat for beat in beats if beat.at > began]
        before = next((beat for beat in reversed(beats) if beat.at <= began), within[0])
        last = within[-1]
        seen.connections = self.connections + last.ended - before.ended
        seen.cut = last.cut[len(before.cut) :]
        seen.stall = max(max(beat.longest, beat.waiting) for beat in within)

    def _next_where(self, wanted: Callable[[Beat], bool]) -> Beat:
        return self._until(wanted)[-1]

    def _until(self, wanted: Callable[[Beat], bool]) -> list[Beat]:
        """The beats up to the first for which `wanted` is true."""
        deadline = time.monotonic() + _BOUND_S
        beats: list[Beat] = []
        while not (beats and wanted(beats[-1])):
            try:
                beat = self._beats.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                raise LabError(
                    f"{self.connections} live connections: not all have an answer after {_BOUND_S:.0f} s"
                ) from None
            if beat is None:
                raise LabError(f"the program of the live connections ended with status {self._child.wait()}")
            beats.append(beat)
        return beats

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                fields = json.loads(line)
                self._beats.put(Beat(**{**fields, "cut": tuple(fields["cut"])}))
        self._beats.put(None)
