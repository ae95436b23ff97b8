# SPDX-License-Identifier: MIT
"""A speaker of glb's own that does not answer any more must not go on announcing beside the next one."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from glb.errors import RoutingError
from glb.waiting import has_ended

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
                if not has_ended(handle, _END_BOUND_S):
                    raise RoutingError(
                        f"process {pid} ({argument}) does not end within {_END_BOUND_S:.0f} s of SIGKILL"
                    )
        finally:
            os.close(handle)
