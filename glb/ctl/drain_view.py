# SPDX-License-Identifier: MIT
"""What a waiting drain shows: a bar on a terminal, a line now and then elsewhere, nothing where a program reads."""

import time
from types import TracebackType
from typing import Protocol, Self

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from glb.ctl.output import Format, console
from glb.drain.progress import OVER, Progress

_SECONDS_BETWEEN_LINES = 3.0


class View(Protocol):
    """Shows how far a drain has come. To be used in a `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, progress: Progress) -> None: ...

    def end(self, progress: Progress) -> None:
        """What is to stay on the screen."""


def view_of(output: Format, title: str, quiet: bool = False) -> View:
    """The view for this output. title: whose connections they are. quiet: show nothing."""
    if quiet or output is Format.JSON:
        return _Silence()
    return _LiveBar(title) if console.is_terminal else _Lines(title)


def describe(progress: Progress) -> str:
    """One line: the connections that are left, what they are at, and the packets that show it."""
    if progress.answer is None:
        return progress.error or "not asked yet"
    if progress.error is not None:
        return f"{progress.left} connections when it last answered; {progress.error}"
    sockets = progress.answer.sockets
    open_, opening = sockets.get("established", 0), sockets.get("syn_recv", 0)
    over = sockets.get(OVER, 0)
    closing = sum(sockets.values()) - open_ - opening - over
    kinds = ((open_, "established"), (opening, "opening"), (closing, "closing"), (over, "in TIME_WAIT"))
    shown = ", ".join(f"{number} {kind}" for number, kind in kinds if number)
    parts = [f"{progress.left} of {progress.most} connections left" + (f" ({shown})" if shown else "")]
    if progress.established_rate is not None and progress.new_rate is not None:
        parts.append(f"packets/s: {progress.established_rate:.0f} established, {progress.new_rate:.0f} new")
    return ", ".join(parts)


class _Silence:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, progress: Progress) -> None: ...

    def end(self, progress: Progress) -> None: ...


class _Lines(_Silence):
    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._next = self._began
        self._last = ""

    def show(self, progress: Progress) -> None:
        if time.monotonic() >= self._next:
            self.end(progress)

    def end(self, progress: Progress) -> None:
        line = describe(progress)
        if line != self._last:
            console.print(f"{time.monotonic() - self._began:4.0f} s  {self._title}: {line}", soft_wrap=True)
        self._last = line
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES


class _LiveBar:
    """The bar fills as connections end, measured by the most that there were."""

    def __init__(self, title: str) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(20), TimeElapsedColumn())
        self._bar = Bar(*columns, TextColumn("{task.fields[facts]}", markup=False), console=console)
        self._task = self._bar.add_task(title, total=None, facts="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        """A bar without a length goes to and fro: nothing is known yet."""
        known = progress.left is not None
        gone = progress.most - (progress.left or 0)
        total, completed = (progress.most or 1, gone if progress.most else 1) if known else (None, 0)
        self._bar.update(self._task, total=total, completed=completed, facts=describe(progress))

    def end(self, progress: Progress) -> None:
        self.show(progress)
