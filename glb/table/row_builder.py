# SPDX-License-Identifier: MIT
"""The builder of rows that suits this host: the C library of the ranking, where there is one, makes it fast."""

from glb.native.ranker import native_ranker
from glb.table.builder import RowBuilder


def row_builder() -> RowBuilder:
    """A new builder."""
    return RowBuilder(ranker=native_ranker())
