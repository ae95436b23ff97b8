# SPDX-License-Identifier: MIT
"""The director while its metrics are read, far more often than any Prometheus would."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.cases import Case
from glb.datapath.counters import counters_of, read_traffic
from glb.datapath.director import DirectorDatapath

SCRAPED = "metrics read 100 times a second"
_EVERY_SECONDS = 0.01


@contextmanager
def case(plain: Case, datapath: DirectorDatapath) -> Iterator[Case]:
    """A case again, with all counters of its director read from another CPU, if there is one, while it is measured."""
    wanted, ended = threading.Event(), threading.Event()

    @contextmanager
    def scraped() -> Iterator[None]:
        wanted.set()
        try:
            yield
        finally:
            wanted.clear()

    def scrape() -> None:
        elsewhere = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
        if elsewhere:
            os.sched_setaffinity(0, elsewhere)
        entries = datapath.traffic_entries()
        while not ended.is_set():
            if wanted.wait(_EVERY_SECONDS):
                counters_of(datapath.program)
                read_traffic(datapath.program, entries)
                time.sleep(_EVERY_SECONDS)

    reader = threading.Thread(target=scrape)
    reader.start()
    try:
        yield replace(plain, name=SCRAPED, beside=scraped)
    finally:
        ended.set()
        reader.join()
