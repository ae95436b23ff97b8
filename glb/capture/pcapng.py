# SPDX-License-Identifier: MIT
"""Visits as a file that Wireshark opens: each frame as it came, and as it left, with the verdict as its comment."""

from pathlib import Path
from types import TracebackType

from scapy.utils import PcapNgWriter

from glb.capture.records import NANOSECONDS, Frame, Visit
from glb.capture.story import dissected
from glb.errors import CaptureError

_IN, _OUT = 1, 2  # of pcapng's epb_flags


class CaptureFile:
    """A pcapng file that grows with each visit."""

    def __init__(self, path: Path) -> None:
        """Raises CaptureError if the file cannot be written."""
        self._path = path
        try:
            self._writer = PcapNgWriter(str(path))
        except OSError as error:
            raise CaptureError(f"{path}: {error.strerror}") from error

    def __enter__(self) -> "CaptureFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
        except OSError as fault:
            if error is None:  # what failed before fails here again
                raise self._unwritable(fault) from fault

    def add(self, visit: Visit) -> None:
        """Raises CaptureError if there is no room for it."""
        verdict = f"{visit.program} {visit.interface}: {visit.verdict.name}: {visit.verdict.meaning}"
        self._write(visit, visit.before, _IN, verdict)
        if visit.leaves:
            self._write(
                visit, visit.after, _OUT, f"{visit.program} {visit.interface}: {visit.verdict.name}, as it left"
            )

    def _write(self, visit: Visit, frame: Frame, direction: int, comment: str) -> None:
        packet = dissected(frame.data)
        packet.time = visit.time / NANOSECONDS
        packet.wirelen = frame.length
        packet.sniffed_on = visit.interface
        packet.direction = direction
        packet.comments = [comment]
        try:
            self._writer.write(packet)
            self._writer.flush()
        except OSError as fault:
            raise self._unwritable(fault) from fault

    def _unwritable(self, fault: OSError) -> CaptureError:
        return CaptureError(f"{self._path}: {fault.strerror}: what was captured until now is in it")
