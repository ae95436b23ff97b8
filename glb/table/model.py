"""A forwarding table as the datapath takes it, and the error of this subject."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glb.config.model import Address, Backend, Bind
from glb.errors import GlbError

Rows = npt.NDArray[np.uint16]

NO_HOP = 0xFFFF
"""In a row: there is no further backend."""


class TableError(GlbError):
    """A forwarding table that cannot be built, written or read."""


@dataclass(frozen=True, slots=True, eq=False)
class BuiltTable:
    """A forwarding table with its rows.

    `rows` is a read-only (65536, hops) array of indices into `backends`, dtype uint16, the first hop first,
    NO_HOP where there is none. `backends` has all of the source's, the inactive ones too, which no row
    names. `seed` is None for a table that was read from a binary, which does not carry it.
    """

    name: str
    hash_key: bytes
    seed: bytes | None
    binds: tuple[Bind, ...]
    backends: tuple[Backend, ...]
    rows: Rows

    def __post_init__(self) -> None:
        self.rows.setflags(write=False)

    def has_rows_of(self, other: "BuiltTable") -> bool:
        """Whether flows meet the same rows in both, as far as that is known without comparing them one by one."""
        return self.rows is other.rows and self.hash_key == other.hash_key and self.backends == other.backends

    def hops(self, row: int) -> tuple[Address, ...]:
        """The addresses of a row's backends, the first hop first."""
        return tuple(self.backends[index].address for index in self.rows[row] if index != NO_HOP)
