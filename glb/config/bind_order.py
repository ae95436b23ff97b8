# SPDX-License-Identifier: MIT
"""Which of several equal binds applies. Pure."""

from collections.abc import Iterable
from typing import Protocol

from glb.config.model import Bind


class HasBinds(Protocol):
    """A table of a source, or a built one."""

    @property
    def binds(self) -> tuple[Bind, ...]: ...


def binds_in_force(tables: Iterable[HasBinds]) -> list[tuple[Bind, int]]:
    """The binds of all tables with the number of their table, in the order of the file.

    Of equal binds only the last is listed. It applies, as in GitHub's director, which writes each bind to a hash table.
    """
    last: dict[Bind, int] = {}
    for number, table in enumerate(tables):
        for bind in table.binds:
            last.pop(bind, None)  # its place in the order is the later one's
            last[bind] = number
    return list(last.items())
