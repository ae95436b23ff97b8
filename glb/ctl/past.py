# SPDX-License-Identifier: MIT
"""The history of a table file, as a running director tells it, or as it is on disk."""

from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter

from glb.control.client import Client
from glb.ctl.takeover import running_directors
from glb.ctl.which import client_of, last_director, table_of
from glb.history.store import History, Listing
from glb.history.version import Kept

_listing = TypeAdapter(Listing)
_kept = TypeAdapter(Kept)


class Past(Protocol):
    """What can be asked of a history."""

    def listing(self) -> Listing: ...

    def read(self, number: int) -> Kept: ...


class ToldPast:
    """A running director's: whoever may use its control socket may see it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def listing(self) -> Listing:
        return _listing.validate_python(self._client.get("/v1/tables/history"))

    def read(self, number: int) -> Kept:
        return _kept.validate_python(self._client.get(f"/v1/tables/history/{number}"))

    def before(self) -> Kept:
        """What a rollback goes back to: the newest version with other tables than the file has."""
        return _kept.validate_python(self._client.get("/v1/tables/history/before"))


def past_of(table: Path | None, iface: str | None, timeout: float = 30) -> Past:
    """The history of a table file, or of the one that this host's director follows, or followed last.

    timeout: seconds that a director's answer may take. Raises GlbError if there is no director, nor a file named.
    """
    if table is not None:
        return History.of(table)
    report = last_director(iface)
    return ToldPast(client_of(report, timeout)) if report in running_directors() else History.of(table_of(report))
