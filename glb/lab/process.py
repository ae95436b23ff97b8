# SPDX-License-Identifier: MIT
"""Programs in the lab's namespaces: start, wait until ready, end.

A process is identified by its id and its start time, since the system reuses ids.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from glb.daemon.process import ProcessId
from glb.errors import LabError
from glb.lab import netns
from glb.waiting import has_ended

READY_BOUND_S = 90.0
END_BOUND_S = 20.0
_LOOK_AGAIN_S = 0.01
_LOG_TAIL_LINES = 15
_TCP_LISTEN = "0A"


def argv_in(namespace: str, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` in a namespace with unchanged mounts, such as /sys/fs/bpf."""
    return ["nsenter", f"--net={netns.path(namespace)}", "--", *argv]


def start_reporting(
    namespace: str, module: str, arguments: Sequence[str], env: Mapping[str, str]
) -> "subprocess.Popen[str]":
    """Start a Python module in a namespace, in a new session; it reports on standard output."""
    return subprocess.Popen(
        argv_in(namespace, [sys.executable, "-m", module, *arguments]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=env,
        text=True,
        start_new_session=True,
    )


class LabProgram:
    """A program just started in a namespace, in a new session; its output is appended to `log`."""

    def __init__(self, namespace: str, argv: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self._command = " ".join(argv)
        self._log = log
        with Path(os.devnull).open("rb") as nothing, log.open("ab") as output:
            streams = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 0)]
            streams += [(os.POSIX_SPAWN_DUP2, output.fileno(), stream) for stream in (1, 2)]
            command = argv_in(namespace, argv)
            pid = os.posix_spawnp(command[0], command, env, file_actions=streams, setsid=True)
        self.id = ProcessId.of(pid)

    def wait_until_listening(self, port: int) -> None:
        """Wait until a TCP port of the program's namespace listens, for IPv4 and IPv6.

        Raises LabError with the end of the program's log if it ends, or does not listen in time.
        """
        self._wait_until(lambda: all(_listens(self.id.pid, table, port) for table in ("tcp", "tcp6")))

    def wait_until_accepting(self, path: Path) -> None:
        """Wait until connections to a UNIX socket are accepted: an earlier program may have left its file there.

        Raises LabError with the end of the program's log if it ends, or does not listen in time.
        """
        self._wait_until(lambda: _accepts(path))

    def _wait_until(self, listens: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_BOUND_S
        with _pidfd(self.id.pid) as handle:
            while not listens():
                if has_ended(handle, _LOOK_AGAIN_S):
                    raise LabError(self._report(_how_it_ended(handle)))
                if time.monotonic() > deadline:
                    raise LabError(self._report(f"does not listen after {READY_BOUND_S:.0f} s"))

    def wait_until_notified(self, notify: socket.socket) -> None:
        """Wait for READY=1 on a notify socket.

        Raises LabError with the end of the program's log if it ends, or is not ready in time.
        """
        deadline = time.monotonic() + READY_BOUND_S
        with _pidfd(self.id.pid) as handle:
            events = select.poll()
            events.register(notify, select.POLLIN)
            events.register(handle, select.POLLIN)
            while (left := deadline - time.monotonic()) > 0:
                arrived = {fd for fd, _ in events.poll(left * 1000)}
                if notify.fileno() in arrived:
                    if b"READY=1" in notify.recv(4096).split(b"\n"):
                        return
                elif handle in arrived:
                    raise LabError(self._report(_how_it_ended(handle)))
        raise LabError(self._report(f"was not ready within {READY_BOUND_S:.0f} s"))

    def _report(self, what: str) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        tail = "\n".join(f"  {line}" for line in lines)
        return f"`{self._command}` {what}; the end of {self._log}:\n{tail}"


class LabDaemon:
    """A started program that reports by sd_notify when it is ready."""

    def __init__(self, namespace: str, argv: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self._address = log.with_suffix(".notify")
        self._address.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self._address))
        self._program = LabProgram(namespace, argv, log, {**env, "NOTIFY_SOCKET": str(self._address)})

    @property
    def id(self) -> ProcessId:
        return self._program.id

    def wait_until_ready(self) -> None:
        """Raises LabError with the end of the daemon's log if it ends, or is not ready in time."""
        try:
            self._program.wait_until_notified(self._notify)
        finally:
            self._notify.close()
            self._address.unlink(missing_ok=True)


def end(process: ProcessId, how: signal.Signals) -> None:
    """Send a signal and wait until the process has ended; no error if it has ended before.

    Raises LabError if it does not end in time.
    """
    if not process.is_alive():
        return
    with suppress(ProcessLookupError), _pidfd(process.pid) as handle:
        signal.pidfd_send_signal(handle, how)
        if not has_ended(handle, END_BOUND_S):
            raise LabError(f"process {process.pid} did not end within {END_BOUND_S:.0f} s of {how.name}")
        with suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, handle, os.WEXITED)


def kill_all_in(namespace: str) -> None:
    """Kill all processes in a namespace, and wait for their end.

    Raises LabError if a process does not end.
    """
    while pids := netns.processes_in(namespace):
        for pid in pids:
            end(ProcessId.of(pid), signal.SIGKILL)


def _listens(pid: int, table: str, port: int) -> bool:
    """Whether the process's namespace has a listening socket on the port, by /proc/PID/net/tcp or tcp6."""
    try:
        lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    except OSError:
        return False
    sockets = (line.split() for line in lines)
    return any(fields[1].endswith(f":{port:04X}") and fields[3] == _TCP_LISTEN for fields in sockets)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def _how_it_ended(handle: int) -> str:
    """The exit status or signal of a child that has ended."""
    result = os.waitid(os.P_PIDFD, handle, os.WEXITED)
    assert result is not None
    if result.si_code == os.CLD_EXITED:
        return f"has ended with status {result.si_status}"
    return f"was ended by {signal.Signals(result.si_status).name}"


@contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)
