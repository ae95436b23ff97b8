"""The history of a table file, as a running director tells it, or as it is on disk."""

from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter

from glb.control.client import Client
from glb.ctl.takeover import running_directors
from glb.ctl.which import client_of, last_director, table_of
from glb.history.store import History
from glb.history.version import Kept, Version

_versions = TypeAdapter(list[Version])
_kept = TypeAdapter(Kept)


class Past(Protocol):
    """What can be asked of a history."""

    def versions(self) -> list[Version]: ...

    def damaged(self) -> list[str]: ...

    def read(self, number: int) -> Kept: ...


class ToldPast:
    """A running director's: whoever may use its control socket may see it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def versions(self) -> list[Version]:
        return _versions.validate_python(self._client.get("/v1/tables/history")["versions"])

    def damaged(self) -> list[str]:
        return [str(fault) for fault in self._client.get("/v1/tables/history")["damaged"]]

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
