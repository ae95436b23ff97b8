"""A speaker of glb's own that does not answer any more must not go on announcing beside the next one."""

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

from glb.routing.errors import RoutingError

_END_BOUND_S = 10.0


def end(pid_file: Path, argument: Path) -> None:
    """Kill the process whose number is in the file, if it has this argument, and wait for its end.

    The number may be another's by now. Raises RoutingError if the process does not end.
    """
    with suppress(OSError, ValueError):  # there is none
        pid = int(pid_file.read_text())
        handle = os.pidfd_open(pid)
        try:
            if str(argument).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                _wait_for_end(handle, pid, argument)
        finally:
            os.close(handle)


def _wait_for_end(handle: int, pid: int, argument: Path) -> None:
    """A pidfd is readable once its process has ended, reaped or not: pidfd_open(2)."""
    ended = select.poll()
    ended.register(handle, select.POLLIN)
    if not ended.poll(_END_BOUND_S * 1000):
        raise RoutingError(f"process {pid} ({argument}) does not end within {_END_BOUND_S:.0f} s of SIGKILL")
