# SPDX-License-Identifier: MIT
"""The load generator, as seen by its parent: start, follow, stop."""

import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from glb.errors import LabError
from glb.lab.events import Finished, LoadEvent, Opened, Summary, from_line
from glb.lab.process import start_reporting

_END_BOUND_S = 120.0


class Traffic:
    """A run of the load generator. Leaving the `with` block kills it if it still runs."""

    def __init__(self, namespace: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self._arguments = " ".join(arguments)
        self._arrived: queue.SimpleQueue[LoadEvent | None] = queue.SimpleQueue()
        self._events: list[LoadEvent] = []
        self._child = start_reporting(namespace, "glb.lab.load", arguments, env)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "Traffic":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        self._child.wait()

    @property
    def finished(self) -> list[Finished]:
        """The connections that are over, as far as the events have been looked at."""
        return [event for event in self._events if isinstance(event, Finished)]

    @property
    def in_flight(self) -> list[Opened]:
        """The connections that are being answered, as far as the events have been looked at."""
        over = {finished.number for finished in self.finished}
        return [event for event in self._events if isinstance(event, Opened) and event.number not in over]

    def wait_until(self, condition: Callable[[], bool], bound_s: float = 30.0) -> None:
        """Look at events until the condition holds with all that has arrived.

        Raises LabError if the load generator ends or the time is up before it does.
        """
        deadline = time.monotonic() + bound_s
        while not (self._arrived.empty() and condition()):
            self._look(deadline)

    def wait_for(self, wanted: Callable[[LoadEvent], bool], bound_s: float = 30.0) -> LoadEvent:
        """The next event that is wanted.

        Raises LabError if the load generator ends or the time is up before it.
        """
        deadline = time.monotonic() + bound_s
        while not wanted(event := self._look(deadline)):
            pass
        return event

    def stop(self) -> Summary:
        """Begin no more requests, let the running ones finish, and return the summary."""
        self._child.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> Summary:
        """Wait for the end of a run that ends by itself.

        Raises LabError if it does not end in time, or without a summary.
        """
        summary = self.wait_for(lambda event: isinstance(event, Summary), _END_BOUND_S)
        self._child.wait()
        assert isinstance(summary, Summary)
        return summary

    def _look(self, deadline: float) -> LoadEvent:
        try:
            event = self._arrived.get(timeout=max(deadline - time.monotonic(), 0))
        except queue.Empty:
            raise LabError(f"the load `{self._arguments}` did not bring what was waited for in time") from None
        if event is None:
            raise LabError(f"the load `{self._arguments}` ended with status {self._child.wait()}")
        self._events.append(event)
        return event

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                self._arrived.put(from_line(line))
        self._arrived.put(None)
