# SPDX-License-Identifier: MIT
"""Traces on several hosts, each a process that tells what it sees in lines of JSON; what all of them tell as one story.

A trace ends when its standard input does: so it also ends, here and behind ssh, if who follows it is killed.
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

_LOOK_SECONDS = 0.1
_END_SECONDS = 10.0  # that a trace has to put the programs back in their places, and say so
_KEPT_WORDS = 50
_LINE_BYTES = 1 << 16
_LAST_WORDS = 3
_NO_SSH = 255
_NO_COMMAND = 127
_WRONG_USE = 2
_FRAME = re.compile(r"^[\s│╭╮╰╯─]+|[\s│╭╮╰╯─]+$")  # which typer draws around what is wrong with an option

_SSH_OPTIONS = (
    "-T",
    *("-o", "BatchMode=yes"),
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=5"),  # so that a host which vanishes is told of within some 15 s
    *("-o", "ClearAllForwardings=yes"),  # another ssh may have their ports
    *("-o", "RemoteCommand=none"),
)


class HostTrace:
    """The trace on one host."""

    def __init__(self, host: str, argv: Sequence[str]) -> None:
        """host: how it is called in all that is told."""
        self.host = host
        self._argv = argv
        self._process: Process | None = None
        self._said: deque[str] = deque(maxlen=_KEPT_WORDS)
        self._has_begun = False
        self._is_to_end = False
        self._was_stopped = False

    async def follow(self, tell: Callable[[Event], None], seconds: float | None) -> None:
        """Hand on what is seen until the trace has ended, by `end` or after so many seconds.

        Raises CaptureError if it ends in another way; the message names the host, and what it said.
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
            await asyncio.gather(self._read_visits(process.stdout, tell), self._read_words(process.stderr))
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
        errors.print(f"{self.host}: {self._last_words}", style="dim")

    def end(self) -> None:
        """Let it put back what it has exchanged, and end."""
        self._is_to_end = True
        if self._process and self._process.stdin:
            self._process.stdin.close()

    def stop(self) -> None:
        """End it by force, if it still runs; its host, behind ssh, has to notice by itself."""
        if self._process and self._process.returncode is None:
            self._was_stopped = True
            self._process.terminate()

    async def _read_visits(self, output: asyncio.StreamReader, tell: Callable[[Event], None]) -> None:
        async for line in _lines(output):
            if line.startswith(b"{"):
                tell(replace(of_line(line), host=self.host))
            else:  # from a shell's profile
                self._hear(line)

    async def _read_words(self, output: asyncio.StreamReader) -> None:
        async for line in _lines(output):
            self._hear(line)

    def _hear(self, line: bytes) -> None:
        words = plain(_FRAME.sub("", line.decode(errors="replace")))
        if words.startswith(BEGUN):
            self._has_begun = True
            self._said.clear()  # what a login says
            errors.print(f"{self.host}: {words.partition(';')[0]}", style="dim")
        elif words not in ("", "Error"):
            self._said.append(words)

    def _why(self, status: int) -> str:
        if self._was_stopped:
            return (
                f"its trace has not ended within {_END_SECONDS:.0f} s; it does when its host notices that we are gone"
            )
        if status == _NO_SSH:
            return f"ssh has failed: {self._last_words}"
        if status == _NO_COMMAND:
            return f"glbctl is not found there (--remote-glbctl tells where it is): {self._last_words}"
        if status == _WRONG_USE and (unknown := [words for words in self._said if "No such" in words]):
            return f"its glbctl is older than this one: {unknown[0]}"
        return f"its trace has ended by itself (exit status {status}): {self._last_words}"

    @property
    def _last_words(self) -> str:
        return "; ".join(list(self._said)[-_LAST_WORDS:]) or "nothing was said"


async def _lines(output: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Raises CaptureError at a line that is longer than any of glbctl's."""
    try:
        async for line in output:
            yield line
    except ValueError as error:  # as asyncio reports it
        raise CaptureError(f"a line of more than {_LINE_BYTES} bytes, which is not glbctl's; its trace ends") from error


def here(host: str, arguments: Sequence[str]) -> HostTrace:
    """The trace of this host's datapaths. arguments: of glbctl."""
    return HostTrace(host, [sys.executable, "-P", "-m", "glb.ctl", *arguments])


def on(host: str, arguments: Sequence[str], ssh: Sequence[str], glbctl: str) -> HostTrace:
    """The trace of another host's datapaths. host: as ssh takes it. glbctl: the command there, for its shell."""
    command = f"{glbctl} {shlex.join(arguments)}"
    return HostTrace(host.rpartition("@")[2], [*ssh, *_SSH_OPTIONS, "--", host, command])


def tell_all(
    traces: Sequence[HostTrace],
    show: Callable[[Event], None],
    count: int | None,
    seconds: float | None,
    is_over: Callable[[], bool],
) -> bool:
    """Show what all of them tell, until it is enough, all have ended, Ctrl-C is pressed, or is_over says so.

    Returns whether all went well. A trace that did not is told of, and the others go on.
    """
    with until_signal() as stop:
        return asyncio.run(_tell_all(traces, _Shown(show, count), seconds, stop, is_over))


class _Shown:
    """Shows visits in their order, as many as are wanted."""

    def __init__(self, show: Callable[[Event], None], count: int | None) -> None:
        self._show = show
        self._left = float("inf") if count is None else count
        self._merge = Merge()

    @property
    def is_enough(self) -> bool:
        return self._left <= 0

    def add(self, told: Event) -> None:
        self._merge.add(told, time.monotonic())

    def show(self, now: float) -> None:
        for told in self._merge.take(now):
            if not self.is_enough:
                self._show(told)
                self._left -= 1


async def _tell_all(
    traces: Sequence[HostTrace],
    shown: _Shown,
    seconds: float | None,
    stop: threading.Event,
    is_over: Callable[[], bool],
) -> bool:
    errors.print(f"asking {', '.join(trace.host for trace in traces)}; Ctrl-C ends it", style="dim")
    followed = [asyncio.create_task(_follow(trace, shown, seconds)) for trace in traces]
    running = set(followed)
    try:
        while running and not (shown.is_enough or stop.is_set() or is_over()):
            _, running = await asyncio.wait(running, timeout=_LOOK_SECONDS)
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
