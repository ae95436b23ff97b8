"""The daemons' log: one line an event on standard error, which must never delay the daemon."""

import os
import select
import sys
from collections import deque

_KEPT_LINES = 10_000
_WRITE_BYTES = 4096  # what a pipe that polls as writable takes at once (PIPE_BUF, pipe(7))


class PatientStream:
    """A text stream on a descriptor whose reader may have stopped reading.

    Lines that the descriptor does not take now are kept, the newest _KEPT_LINES of them, and written before the next
    one; so a log collector that hangs does not hang the daemon.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._kept: deque[bytes] = deque(maxlen=_KEPT_LINES)

    def write(self, text: str) -> int:
        self._kept.append(text.encode(errors="backslashreplace"))
        self.flush()
        return len(text)

    def flush(self) -> None:
        """Write as much as the descriptor takes without waiting."""
        while self._kept and self._poll.poll(0):
            data = self._kept.popleft()
            try:
                written = os.write(self._descriptor, data[:_WRITE_BYTES])
            except OSError:  # nobody reads any more, or the disk is full: the daemon's work does not depend on it
                return
            if written < len(data):
                self._kept.appendleft(data[written:])


def standard_error() -> PatientStream:
    return PatientStream(sys.stderr.fileno())
