# SPDX-License-Identifier: MIT
"""Which binds a proxy is asked for, when a backend of some tables drains."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from glb.config.model import Bind, Proto, Table


@dataclass(frozen=True, slots=True)
class Wanted:
    """The TCP binds of tables, and among which others they are: those that may claim some of their packets.

    `asked` holds both, in the file's order, which decides between equals.
    """

    own: frozenset[Bind]
    asked: tuple[Bind, ...]


def wanted_binds(tables: Sequence[Table], names: Collection[str]) -> Wanted:
    """What to ask for to learn of the connections of the tables of these names, and of these only."""
    return wanted_among(
        [bind for table in tables for bind in table.binds],
        [bind for table in tables if table.name in names for bind in table.binds],
    )


def wanted_among(binds: Sequence[Bind], own: Collection[Bind]) -> Wanted:
    """What to ask for to learn of the connections of some binds of all that are loaded."""
    mine = frozenset(bind for bind in own if bind.proto is Proto.TCP)
    asked = tuple(bind for bind in binds if bind.proto is Proto.TCP and any(_overlap(bind, each) for each in mine))
    return Wanted(mine, asked)


def _overlap(one: Bind, other: Bind) -> bool:
    return (
        one.family == other.family
        and one.port_start <= other.port_end
        and other.port_start <= one.port_end
        and one.network.overlaps(other.network)
    )
