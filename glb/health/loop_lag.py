# SPDX-License-Identifier: MIT
"""How late the event loop runs: a result that this process read too late does not count against a backend."""

import asyncio

_EVERY_SECONDS = 0.02
_TOLERANCE_SECONDS = 0.005  # the resolution of timers


class LoopLag:
    """A timer in the event loop. `behind` is the sum of the seconds by which its ticks were late; it only grows."""

    def __init__(self) -> None:
        self.behind = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer, unless it runs."""
        if self._timer is None:
            self._wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _EVERY_SECONDS
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        late = asyncio.get_running_loop().time() - self._due
        self.behind += max(late - _TOLERANCE_SECONDS, 0.0)
        self._wait()
