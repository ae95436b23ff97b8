# SPDX-License-Identifier: MIT
"""Traces on several hosts: each is a process that prints its events as JSON lines; all events are merged in order.

A trace ends when its standard input closes, so it also ends, here and over ssh, if the parent process is killed.
"""

import asyncio
import re
import shlex
import sys
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from glb.capture.event import Event, of_line
from glb.capture.merge import Merge
from glb.ctl.output import complain, errors, plain
from glb.ctl.watch import BEGUN, until_signal
from glb.errors import CaptureError

_POLL_SECONDS = 0.1
_END_SECONDS = 10.0  # for a trace to restore the programs and exit
_KEPT_MESSAGES = 50
_LINE_BYTES = 1 << 16
_LAST_MESSAGES = 3
_NO_SSH = 255
_NO_COMMAND = 127
_WRONG_USE = 2
_FRAME = re.compile(r"^[\s│╭╮╰╯─]+|[\s│╭╮╰╯─]+$")  # the box that typer draws around a usage error

_SSH_OPTIONS = (
    "-T",
    *("-o", "BatchMode=yes"),
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=5"),  # a host that disappears is reported within some 15 s
    *("-o", "ClearAllForwardings=yes"),  # their ports may be in use by another ssh
    *("-o", "RemoteCommand=none"),
)


class HostTrace:
    """The trace on one host."""

    def __init__(self, host: str, argv: Sequence[str]) -> None:
        """host: its name in the output."""
        self.host = host
        self._argv = argv
        self._process: Process | None = None
        self._messages: deque[str] = deque(maxlen=_KEPT_MESSAGES)
        self._has_begun = False
        self._is_to_end = False
        self._was_stopped = False

    async def follow(self, show: Callable[[Event], None], seconds: float | None) -> None:
        """Pass on events until the trace ends, by `end` or after so many seconds.

        Raises CaptureError if it ends for another reason; the message has the host and its last output.
        """
        began = time.monotonic()
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True, limit=_LINE_BYTES
            )
        except OSError as error:
            raise CaptureError(f"{self.host}: {self._argv[0]}: {error.strerror}") from error
        assert process.stdout
        assert process.stderr
        if self._is_to_end:  # meanwhile
            self.end()
        try:
            await asyncio.gather(self._read_events(process.stdout, show), self._read_messages(process.stderr))
        except CaptureError as error:
            self.stop()
            await process.wait()
            raise CaptureError(f"{self.host}: {error}") from error
        status = await process.wait()
        if self._is_to_end and not self._has_begun:
            return
        is_time = seconds is not None and time.monotonic() - began >= seconds
        if status != 0 or not (self._is_to_end or is_time):
            raise CaptureError(f"{self.host}: {self._why(status)}")
        errors.print(f"{self.host}: {self._last_messages}", style="dim")

    def end(self) -> None:
        """Let it restore the programs and exit."""
        self._is_to_end = True
        if self._process and self._process.stdin:
            self._process.stdin.close()

    def stop(self) -> None:
        """Terminate the local process, if it still runs; a remote host notices the closed connection."""
        if self._process and self._process.returncode is None:
            self._was_stopped = True
            self._process.terminate()

    async def _read_events(self, output: asyncio.StreamReader, show: Callable[[Event], None]) -> None:
        async for line in _lines(output):
            if line.startswith(b"{"):
                show(replace(of_line(line), host=self.host))
            else:  # output of a shell profile
                self._note_message(line)

    async def _read_messages(self, output: asyncio.StreamReader) -> None:
        async for line in _lines(output):
            self._note_message(line)

    def _note_message(self, line: bytes) -> None:
        message = plain(_FRAME.sub("", line.decode(errors="replace")))
        if message.startswith(BEGUN):
            self._has_begun = True
            self._messages.clear()  # output of the login
            errors.print(f"{self.host}: {message.partition(';')[0]}", style="dim")
        elif message not in ("", "Error"):
            self._messages.append(message)

    def _why(self, status: int) -> str:
        if self._was_stopped:
            return f"its trace did not end within {_END_SECONDS:.0f} s; it ends when its host notices that ssh closed"
        if status == _NO_SSH:
            return f"ssh failed: {self._last_messages}"
        if status == _NO_COMMAND:
            return f"glbctl was not found there (set --remote-glbctl): {self._last_messages}"
        if status == _WRONG_USE and (unknown := [message for message in self._messages if "No such" in message]):
            return f"its glbctl is older than this one: {unknown[0]}"
        return f"its trace ended early (exit status {status}): {self._last_messages}"

    @property
    def _last_messages(self) -> str:
        return "; ".join(list(self._messages)[-_LAST_MESSAGES:]) or "no output"


async def _lines(output: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream. Raises CaptureError at a line that is longer than any of glbctl's."""
    try:
        async for line in output:
            yield line
    except ValueError as error:  # as asyncio reports it
        raise CaptureError(f"a line of more than {_LINE_BYTES} bytes, not from glbctl; its trace ends") from error


def here(host: str, arguments: Sequence[str]) -> HostTrace:
    """The trace of this host's datapaths. arguments: of `glbctl`."""
    return HostTrace(host, [sys.executable, "-P", "-m", "glb.ctl", *arguments])


def on(host: str, arguments: Sequence[str], ssh: Sequence[str], glbctl: str) -> HostTrace:
    """The trace of another host's datapaths. host: as for ssh. glbctl: the command on that host, for its shell."""
    command = f"{glbctl} {shlex.join(arguments)}"
    return HostTrace(host.rpartition("@")[2], [*ssh, *_SSH_OPTIONS, "--", host, command])


def show_all(
    traces: Sequence[HostTrace],
    show: Callable[[Event], None],
    count: int | None,
    seconds: float | None,
    is_over: Callable[[], bool],
) -> bool:
    """Show the events of all traces until `count` are shown, all have ended, Ctrl-C is pressed, or is_over() is true.

    Returns whether all traces succeeded. The error of a trace is printed, and the others continue.
    """
    with until_signal() as stop:
        return asyncio.run(_run_all(traces, _Shown(show, count), seconds, stop, is_over))


class _Shown:
    """Shows events in order of time, at most `count`."""

    def __init__(self, show: Callable[[Event], None], count: int | None) -> None:
        self._show = show
        self._left = float("inf") if count is None else count
        self._merge = Merge()

    @property
    def is_enough(self) -> bool:
        return self._left <= 0

    def add(self, event: Event) -> None:
        self._merge.add(event, time.monotonic())

    def show(self, now: float) -> None:
        for event in self._merge.take(now):
            if not self.is_enough:
                self._show(event)
                self._left -= 1


async def _run_all(
    traces: Sequence[HostTrace],
    shown: _Shown,
    seconds: float | None,
    stop: threading.Event,
    is_over: Callable[[], bool],
) -> bool:
    errors.print(f"starting traces on {', '.join(trace.host for trace in traces)}; stop with Ctrl-C", style="dim")
    followed = [asyncio.create_task(_follow(trace, shown, seconds)) for trace in traces]
    running = set(followed)
    try:
        while running and not (shown.is_enough or stop.is_set() or is_over()):
            _, running = await asyncio.wait(running, timeout=_POLL_SECONDS)
            shown.show(time.monotonic())
    finally:
        await _end(traces, followed)
    shown.show(float("inf"))
    return all(task.result() for task in followed)


async def _follow(trace: HostTrace, shown: _Shown, seconds: float | None) -> bool:
    try:
        await trace.follow(shown.add, seconds)
    except CaptureError as error:
        complain(str(error))
        return False
    return True


async def _end(traces: Sequence[HostTrace], followed: Sequence["asyncio.Task[bool]"]) -> None:
    for trace in traces:
        trace.end()
    _, late = await asyncio.wait(followed, timeout=_END_SECONDS)
    if late:
        for trace in traces:
            trace.stop()
        await asyncio.wait(late)
