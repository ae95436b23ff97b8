# SPDX-License-Identifier: MIT
"""Processes by pid and start time, since the kernel reuses pids."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

_FIELDS_BEFORE_STARTTIME = 19  # behind the command's name: proc_pid_stat(5), field 22


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process. start: its start time in clock ticks since boot."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> "ProcessId":
        """The process that has this pid now. If there is none, the result is never alive."""
        return cls(pid, _start_of(pid) or 0)

    @classmethod
    def own(cls) -> "ProcessId":
        return cls.of(os.getpid())

    def is_alive(self) -> bool:
        return _start_of(self.pid) == self.start

    def is_stopped(self) -> bool:
        """Whether it is alive but suspended, by SIGSTOP or a debugger."""
        found = _stat_of(self.pid)
        return found is not None and int(found[_FIELDS_BEFORE_STARTTIME]) == self.start and found[0] in "Tt"

    def send(self, number: signal.Signals) -> bool:
        """Send a signal. Returns False if the process has ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.is_alive():
                return False
            signal.pidfd_send_signal(handle, number)
            return True
        finally:
            os.close(handle)


def _start_of(pid: int) -> int | None:
    """The start time of a running process; None for one that has ended, reaped or not."""
    fields = _stat_of(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[_FIELDS_BEFORE_STARTTIME])


def _stat_of(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()
