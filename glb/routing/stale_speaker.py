# SPDX-License-Identifier: MIT
"""Kills a speaker that glb started and that no longer responds, so that it does not announce beside its successor."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from glb.errors import RoutingError
from glb.waiting import has_ended

_END_BOUND_S = 10.0


def kill(pid_file: Path, argument: Path) -> None:
    """Kill the process whose pid is in the file, and wait for its end, unless its command line lacks this argument.

    The pid may belong to another process by now. Raises RoutingError if the process does not end.
    """
    with suppress(OSError, ValueError):  # no file, or no such process
        pid = int(pid_file.read_text())
        handle = os.pidfd_open(pid)
        try:
            if str(argument).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                if not has_ended(handle, _END_BOUND_S):
                    raise RoutingError(
                        f"process {pid} ({argument}) does not end within {_END_BOUND_S:.0f} s of SIGKILL"
                    )
        finally:
            os.close(handle)
