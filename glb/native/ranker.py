# SPDX-License-Identifier: MIT
"""The ranking of rows by the C library, where it has been built: the same order as numpy's, in a tenth of the time."""

import ctypes as ct
import logging
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glb.hashing.siphash import Words, state_ahead
from glb.native import library

log = logging.getLogger(__name__)


class _Candidates(ct.Structure):
    """rank.c's struct candidates."""

    _fields_ = (
        ("count", ct.c_uint64),
        ("words", ct.c_uint64),
        ("ends", ct.c_void_p),
        ("numbers", ct.c_void_p),
        ("weights", ct.c_void_p),
    )


class NativeRanker:
    """The library's one function. While it works, other threads run: ctypes gives up Python's lock."""

    def __init__(self, path: Path) -> None:
        """Load the library. Raises OSError."""
        self._rank = ct.CDLL(str(path)).glb_rank
        self._rank.argtypes = (
            ct.c_void_p,
            ct.c_void_p,
            ct.c_uint64,
            ct.POINTER(_Candidates),
            ct.c_void_p,
            ct.c_uint64,
        )
        self._rank.restype = None

    def insert(
        self,
        key: bytes,
        seeds: Words,
        numbers: Words,
        ends: Words,
        weights: npt.NDArray[np.float64] | None,
        lowest: npt.NDArray[np.uint64],
    ) -> None:
        """As hashing.rendezvous.Ranker.insert."""
        state = np.array(state_ahead(key), np.uint64)
        seeds, numbers, by_word = (np.ascontiguousarray(array, np.uint64) for array in (seeds, numbers, ends.T))
        if weights is not None:
            weights = np.ascontiguousarray(weights, np.float64)
        candidates = _Candidates(
            len(numbers), len(by_word), _at(by_word), _at(numbers), None if weights is None else _at(weights)
        )
        rows, best = lowest.shape
        self._rank(_at(state), _at(seeds), rows, ct.byref(candidates), _at(lowest), best)


@cache
def native_ranker() -> NativeRanker | None:
    """The library's, if it is built and can be loaded."""
    path = library.built()
    if path is None:
        log.info("the C library of the ranking is not built, so tables of thousands of backends take longer to load")
        return None
    try:
        return NativeRanker(path)
    except OSError as error:
        log.warning("the compiled ranking is not used, so large tables take longer to build: %s", error)
        return None


def _at(array: npt.NDArray[Any]) -> int:
    return array.ctypes.data
