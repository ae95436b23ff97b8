# SPDX-License-Identifier: MIT
"""Captured packets as a pcapng file: each frame as received and as it left, with the verdict as its comment."""

from pathlib import Path
from types import TracebackType

from scapy.utils import PcapNgWriter

from glb.capture.dissect import dissected
from glb.capture.records import NANOSECONDS, CapturedFrame, CapturedPacket
from glb.errors import CaptureError

_IN, _OUT = 1, 2  # of pcapng's epb_flags


class CaptureFile:
    """A pcapng file that is extended by each packet."""

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

    def add(self, captured: CapturedPacket) -> None:
        """Raises CaptureError if there is no room for it."""
        verdict = f"{captured.program} {captured.interface}: {captured.verdict.name}: {captured.verdict.meaning}"
        self._write(captured, captured.before, _IN, verdict)
        if captured.leaves:
            self._write(
                captured,
                captured.after,
                _OUT,
                f"{captured.program} {captured.interface}: {captured.verdict.name}, as it left",
            )

    def _write(self, captured: CapturedPacket, frame: CapturedFrame, direction: int, comment: str) -> None:
        packet = dissected(frame.data)
        packet.time = captured.time / NANOSECONDS
        packet.wirelen = frame.length
        packet.sniffed_on = captured.interface
        packet.direction = direction
        packet.comments = [comment]
        try:
            self._writer.write(packet)
            self._writer.flush()
        except OSError as fault:
            raise self._unwritable(fault) from fault

    def _unwritable(self, fault: OSError) -> CaptureError:
        return CaptureError(f"{self._path}: {fault.strerror}: what was captured until now is in it")
