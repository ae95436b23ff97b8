# SPDX-License-Identifier: MIT
"""The director during `glbctl capture` and `glbctl trace`: its capture program."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import ip_network

from bench.cases import Case, FrameSource
from glb.capture.filter import CaptureFilter, packed
from glb.capture.program import CaptureProgram, load_capture_programs
from glb.capture.records import NANOSECONDS
from glb.datapath.maps import Rings
from glb.datapath.verdicts import verdicts_of

SAMPLED = "captured: one packet in 1,000"
OTHERS = "traced: another client"
_FILTERS = {SAMPLED: CaptureFilter(one_in=1000), OTHERS: CaptureFilter(client=ip_network("192.0.2.1/32"))}
_LEASE_SECONDS = 3600


@contextmanager
def cases(plain: Case) -> Iterator[list[Case]]:
    """A case with the capture program instead of the program, for each of the filters."""
    with ExitStack() as held:
        programs = load_capture_programs([plain.program] * len(_FILTERS))
        found = []
        for (name, wanted), program in zip(_FILTERS.items(), programs, strict=True):
            held.callback(program.close)
            rings = Rings([(program.maps["capture_ring"].fd, lambda _: None)])
            held.callback(rings.close)
            _write_filter(program, wanted)
            found.append(replace(plain, name=name, capture_program=program.fd, frame=_once_read(rings, plain.frame)))
        yield found


def _write_filter(program: CaptureProgram, wanted: CaptureFilter) -> None:
    table = program.maps["capture_filter"]
    until = time.monotonic_ns() + _LEASE_SECONDS * NANOSECONDS
    table[0] = packed(wanted, table.value, verdicts_of(program.original.name), until)


def _once_read(rings: Rings, frame: FrameSource) -> FrameSource:
    """Before each measurement, the ring is emptied, as a watcher would."""

    def source() -> bytes:
        rings.poll(0)
        return frame()

    return source
