# SPDX-License-Identifier: MIT
"""How far this process is behind: what it has not looked at in time is not the backends' fault."""

import asyncio

_EVERY_SECONDS = 0.02
_TOLERANCE_SECONDS = 0.005  # a timer's own grain


class Pulse:
    """Beats in the event loop. `behind` is the sum of seconds by which beats came late, and grows only."""

    def __init__(self) -> None:
        self.behind = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Beat from now on, if it does not yet."""
        if self._timer is None:
            self._wait()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _EVERY_SECONDS
        self._timer = loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        late = asyncio.get_running_loop().time() - self._due
        self.behind += max(late - _TOLERANCE_SECONDS, 0.0)
        self._wait()
