# SPDX-License-Identifier: MIT
"""A built forwarding table, as the datapath uses it."""

import hashlib
import weakref
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glb.config.model import Address, Backend, Bind
from glb.hashing.rendezvous import ROWS

Rows = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Indices of backends; rows of one byte per hop contain no NO_HOP."""

NO_HOP = 0xFFFF
"""In a row: there is no further backend."""


def narrow(rows: npt.NDArray[np.uint16], backends: int) -> Rows:
    """Rows without NO_HOP, with one byte per hop if the indices of so many backends fit."""
    return rows.astype(np.uint8) if _fit_in_bytes(backends) else rows


def rows_bytes(backends: int, depth: int) -> int:
    """The bytes of rows of so many backends and hops; with fewer backends than hops, there are NO_HOPs."""
    return ROWS * depth * (1 if depth <= backends and _fit_in_bytes(backends) else 2)


_digests: dict[int, tuple["weakref.ref[Rows]", str]] = {}


def rows_digest(rows: Rows) -> str:
    """SHA-256 of read-only rows, in hex; computed once for each array."""
    known = _digests.get(id(rows))
    if known is not None and known[0]() is rows:
        return known[1]
    content = str((rows.dtype, rows.shape)).encode() + np.ascontiguousarray(rows).tobytes()
    digest = hashlib.sha256(content).hexdigest()
    number = id(rows)
    _digests[number] = weakref.ref(rows, lambda gone: _forget(number, gone)), digest
    return digest


def _forget(number: int, gone: "weakref.ref[Rows]") -> None:
    known = _digests.get(number)
    if known is not None and known[0] is gone:  # another array may have the same id by now
        del _digests[number]


def _fit_in_bytes(backends: int) -> bool:
    return backends <= np.iinfo(np.uint8).max + 1


@dataclass(frozen=True, slots=True, eq=False)
class BuiltTable:
    """A forwarding table with its rows.

    `rows` is a read-only (65536, hops) array of indices into `backends`, of one or two bytes, the first hop first,
    NO_HOP where there is none. `backends` are all of the source's, inactive ones included, which are in no
    row. `seed` is None for a table from a binary, which does not contain it.
    """

    name: str
    hash_key: bytes
    seed: bytes | None
    binds: tuple[Bind, ...]
    backends: tuple[Backend, ...]
    rows: Rows

    def __post_init__(self) -> None:
        self.rows.setflags(write=False)

    @property
    def depth(self) -> int:
        """Hops in a row."""
        return int(self.rows.shape[1])

    def has_rows_of(self, other: "BuiltTable") -> bool:
        """Whether flows have the same rows in both; False if only a comparison of rows could show it."""
        return self.rows is other.rows and self.hash_key == other.hash_key and self.backends == other.backends

    def hops(self, row: int) -> tuple[Address, ...]:
        """The addresses of a row's backends, the first hop first."""
        return tuple(self.backends[index].address for index in self.rows[row] if index != NO_HOP)
