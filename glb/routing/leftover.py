"""A speaker of glb's own that does not answer any more must not go on announcing beside the next one."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def end(pid_file: Path, argument: Path) -> None:
    """Kill the process whose number is in the file, if it has this argument: the number may be another's by now."""
    with suppress(OSError, ValueError):  # there is none
        pid = int(pid_file.read_text())
        if str(argument).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            os.kill(pid, signal.SIGKILL)
