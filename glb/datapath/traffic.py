# SPDX-License-Identifier: MIT
"""Which entry of the map `traffic` counts for whom: an entry stays with its owner over reloads and restarts.

Each generation has a mark at the entries of its owners, kept beside the maps, by which a later daemon knows them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from glb.errors import DatapathError

Counted = tuple[str, str, str]
"""("bind" or "backend", the table's name, the bind or the address)."""

MARK = np.dtype((np.void, 16))
Marks = npt.NDArray[Any]
"""One MARK an entry; zero where nobody has it."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The entries of one generation's owners, and those among them whose counts are another's, to be cleared."""

    entries: Mapping[Counted, int]
    fresh: tuple[int, ...]

    def mark(self, marks: Marks) -> None:
        """Set a generation's marks, in the place of what was there."""
        marks[:] = np.zeros((), MARK)
        for owner, entry in self.entries.items():
            marks[entry] = mark_of(owner)


def assign(owners: Iterable[Counted], in_use: Marks) -> Assignment:
    """Find an entry for each owner: its own in the generation that is in use, or one that nobody has there.

    Raises DatapathError if there are not enough.
    """
    has_owner = in_use.view(np.uint64).reshape(-1, 2).any(axis=1)
    held = {in_use[entry].tobytes(): int(entry) for entry in np.flatnonzero(has_owner)}
    free = iter(np.flatnonzero(~has_owner).tolist())
    entries: dict[Counted, int] = {}
    fresh = []
    for owner in owners:
        if owner in entries:
            continue
        entry = held.get(mark_of(owner))
        if entry is None:
            entry = next(free, None)
            if entry is None:
                raise DatapathError("no entry is left to count traffic in: load the program anew")
            fresh.append(entry)
        entries[owner] = entry
    return Assignment(entries, tuple(fresh))


@lru_cache(maxsize=1 << 16)
def mark_of(owner: Counted) -> bytes:
    """16 bytes that tell owners apart, and are not zero."""
    return blake2b("\0".join(owner).encode(), digest_size=MARK.itemsize).digest()
