# SPDX-License-Identifier: MIT
"""The director while somebody looks: its twin, in the place that `glbctl capture` and `trace` give it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import ip_network

from bench.cases import Case, FrameSource
from glb.capture.records import NANOSECONDS
from glb.capture.wish import Wish, packed
from glb.datapath import libbpf
from glb.datapath.maps import Rings
from glb.datapath.twin import Twin, load_twins
from glb.datapath.verdicts import verdicts_of

SAMPLED = "captured: one packet in 1,000"
OTHERS = "traced: another client"
_WISHES = {SAMPLED: Wish(one_in=1000), OTHERS: Wish(client=ip_network("192.0.2.1/32"))}
_LEASE_SECONDS = 3600


@contextmanager
def cases(plain: Case) -> Iterator[list[Case]]:
    """A case again, with the program's twin in its place and each of the wishes."""
    with ExitStack() as held:
        twins = load_twins([plain.program] * len(_WISHES), {"CAPTURE": libbpf.possible_cpus()})
        found = []
        for (name, wish), twin in zip(_WISHES.items(), twins, strict=True):
            held.callback(twin.close)
            rings = Rings([(twin.maps["capture_ring"].fd, lambda _: None)])
            held.callback(rings.close)
            _tell(twin, wish)
            found.append(replace(plain, name=name, twin=twin.fd, frame=_once_read(rings, plain.frame)))
        yield found


def _tell(twin: Twin, wish: Wish) -> None:
    table = twin.maps["capture_wish"]
    until = time.monotonic_ns() + _LEASE_SECONDS * NANOSECONDS
    table[0] = packed(wish, table.value, verdicts_of(twin.original.name), until)


def _once_read(rings: Rings, frame: FrameSource) -> FrameSource:
    """Before each measurement, the ring is emptied, as a watcher would."""

    def source() -> bytes:
        rings.poll(0)
        return frame()

    return source
