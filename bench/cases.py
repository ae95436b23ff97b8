# SPDX-License-Identifier: MIT
"""One thing to measure on the datapath: a program, a frame, and what the program must do with it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum

from glb.datapath.program import LoadedProgram

FrameSource = Callable[[], bytes]


class Harness(StrEnum):
    """Which program makes the frame new in each iteration: a function of harness.c."""

    FRONT = "harness_front"
    FLOWS = "harness_flows"
    WHOLE = "harness_whole"


@dataclass(frozen=True, slots=True)
class Flows:
    """Where FLOWS takes addresses from: 2^18 clients from `source` on, `tables` destinations from `destination` on."""

    source: int
    destination: int
    tables: int


@dataclass(frozen=True, slots=True)
class Case:
    """A program under test on a frame, or on a frame of many flows.

    `frame` is called in each round: a SYN cookie does not live for long.
    """

    name: str
    program: LoadedProgram
    harness: Harness
    frame: FrameSource
    verdict: str
    flows: Flows | None = None
    namespace: str | None = None
    """The network namespace of the sockets that the program looks up."""
    capture_program: int | None = None
    """What runs in the program's place, by its descriptor; it counts in the program's maps."""
    beside: Callable[[], AbstractContextManager[None]] = nullcontext
    """What runs during the measurement."""

    @property
    def fd(self) -> int:
        """Of what runs."""
        return self.program.fd if self.capture_program is None else self.capture_program
