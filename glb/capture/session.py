# SPDX-License-Identifier: MIT
"""A capture session: while it lasts, a capture program that reports packets replaces each attached program."""

import contextlib
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, TypeVar

from glb.capture.filter import CaptureFilter, packed
from glb.capture.program import AttachPoint, CaptureProgram, load_capture_programs
from glb.capture.records import NANOSECONDS, CapturedPacket, RecordReader
from glb.datapath import libbpf
from glb.datapath.inspection import open_attached
from glb.datapath.maps import Map, Rings
from glb.datapath.verdicts import verdicts_of
from glb.errors import CaptureError

_LEASE_SECONDS = 5  # after which the capture program of a killed session reports nothing more
_POLL_SECONDS = 0.2
_KEY = 0


class CaptureSession:
    """Captures on attached datapaths within a `with` block; no packet is lost at its start or end.

    A later session on the same interface replaces an earlier one, which then ends.
    """

    def __init__(
        self, interfaces: Sequence[str], wanted: CaptureFilter, show: Callable[[CapturedPacket], None]
    ) -> None:
        """show: is called in `poll` for each packet. Raises DatapathError, CaptureError."""
        if not interfaces:
            raise CaptureError("no datapath is attached on this host: there is nothing to capture")
        self.interfaces = tuple(interfaces)
        with contextlib.ExitStack() as stack:
            points = [_owned(stack, AttachPoint(interface)) for interface in interfaces]  # before the programs are read
            originals = [_owned(stack, open_attached(interface)) for interface in interfaces]
            programs = [_owned(stack, program) for program in load_capture_programs(originals)]
            program_of = {program.original: program for program in programs}
            self._reporters = [
                _Reporter(point, program_of[original], wanted)
                for point, original in zip(points, originals, strict=True)
            ]
            rings = [(reporter.ring, _read_and_show(reporter.reader, show)) for reporter in self._reporters]
            self._rings = _owned(stack, Rings(rings))
            for reporter in self._reporters:
                stack.enter_context(reporter)
            for reporter in sorted(self._reporters, key=lambda reporter: reporter.is_director):
                reporter.renew()
            self._stack = stack.pop_all()

    def __enter__(self) -> "CaptureSession":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def poll(self) -> None:
        """Show the packets that were reported, and wait a moment for more. To be called repeatedly.

        Raises CaptureError if another program has replaced a capture program.
        """
        for reporter in self._reporters:
            reporter.renew()
        self._rings.poll(_POLL_SECONDS)

    def lost(self) -> int:
        """Packets that matched the filter while the ring was full."""
        return sum(reporter.lost() for reporter in self._reporters)


def _read_and_show(reader: RecordReader, show: Callable[[CapturedPacket], None]) -> Callable[[bytes], None]:
    return lambda raw: show(reader.read(raw))


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


def _owned(stack: contextlib.ExitStack, thing: C) -> C:
    """To be closed with the stack."""
    stack.callback(thing.close)
    return thing


class _Reporter:
    """One interface's capture program, attached within the `with` block.

    It reports nothing before `renew` has written the filter. That is done once all programs are attached, and on
    directors last, so that each packet is captured on its whole path.
    """

    def __init__(self, point: AttachPoint, program: CaptureProgram, wanted: CaptureFilter) -> None:
        self._point = point
        self._program = program
        self._filter = wanted
        self.reader = RecordReader(point.interface, program.original.name, self._state.value["record"])
        self.ring = program.maps["capture_ring"].fd
        self.is_director = program.original.name == "director"

    def __enter__(self) -> "_Reporter":
        self._point.attach(self._program)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._point.restore(self._program)

    def renew(self) -> None:
        """Write the filter with a new lease. Raises CaptureError if the program is not attached any more."""
        if not self._point.holds(self._program):
            raise CaptureError(
                f"{self._point.interface}: the capture has ended: the daemon has detached or replaced its program, or "
                "another capture has started"
            )
        table = self._program.maps["capture_filter"]
        until = time.monotonic_ns() + _LEASE_SECONDS * NANOSECONDS
        table[_KEY] = packed(self._filter, table.value, verdicts_of(self._program.original.name), until)

    def lost(self) -> int:
        return sum(int(self._state[cpu]["lost"]) for cpu in range(libbpf.possible_cpus()))

    @property
    def _state(self) -> Map:
        return self._program.maps["capture_state"]
