# SPDX-License-Identifier: MIT
"""The records that a capture program writes to its ring, one for each captured packet."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from glb.datapath.verdicts import Verdict, verdicts_of

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """A frame, or its beginning: `length` is that of the whole."""

    data: bytes
    length: int


@dataclass(frozen=True, slots=True)
class CapturedPacket:
    """A packet as a program received it and as it left it. time: when the program ended, in ns since 1970."""

    interface: str
    program: str
    time: int
    verdict: Verdict
    before: CapturedFrame
    after: CapturedFrame

    @property
    def leaves(self) -> bool:
        """Whether the frame was sent, or passed to the host's stack."""
        return self.verdict.action in ("tx", "pass")


class RecordReader:
    """Reads one interface's records.

    dtype: of struct capture_record in bpf/capture.h; its last field ends after the bytes that were kept.
    """

    def __init__(self, interface: str, program: str, dtype: "np.dtype[Any]") -> None:
        self._interface = interface
        self._program = program
        self._verdicts = verdicts_of(program)
        self._head = int(dtype.fields["bytes"][1])  # type: ignore[index] # a struct has fields
        self._dtype = np.dtype([(name, dtype[name]) for name in dtype.names or () if name != "bytes"])
        self._boot = time.time_ns() - time.monotonic_ns()

    def read(self, raw: bytes) -> CapturedPacket:
        head = np.frombuffer(raw, self._dtype, count=1)[0]
        before, after = int(head["before_kept"]), int(head["after_kept"])
        data = raw[self._head :]
        return CapturedPacket(
            self._interface,
            self._program,
            int(head["time"]) + self._boot,
            self._verdicts[int(head["verdict"])],
            CapturedFrame(data[:before], int(head["before_len"])),
            CapturedFrame(data[before : before + after], int(head["after_len"])),
        )
