# SPDX-License-Identifier: MIT
"""Which tables an attached director's datapath holds, told by the record beside its maps."""

from glb.datapath.attachment import is_attached
from glb.datapath.director import DirectorDatapath
from glb.datapath.pins import open_pinned
from glb.errors import DatapathError


def held_tables(interface: str) -> str | None:
    """The digest of the tables in force, as whoever wrote them gave it; None where nothing is attached.

    Raises DatapathError if a program of another version of glb is attached, NotAllowedError.
    """
    if not is_attached(interface):
        return None
    datapath = DirectorDatapath.adopt(open_pinned(interface, "program"))
    if datapath is None:
        raise DatapathError(
            f"{interface}: the attached director is of another version of glb than this command; "
            "its tables cannot be read"
        )
    try:
        return datapath.tables_digest
    finally:
        datapath.close()
