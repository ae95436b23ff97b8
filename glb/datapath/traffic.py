"""Which entry of the map `traffic` counts for whom: an entry stays with its owner over reloads."""

from collections.abc import Iterable, Mapping

from glb.datapath.errors import DatapathError

Counted = tuple[str, str, str]
"""("bind" or "backend", the table's name, the bind or the address)."""


class TrafficEntries:
    """Gives out the entries of a map of a given size, and takes back those of owners that are gone."""

    def __init__(self, size: int) -> None:
        self._entries: dict[Counted, int] = {}
        self._free = list(range(size - 1, -1, -1))

    def __getitem__(self, owner: Counted) -> int:
        return self._entries[owner]

    def items(self) -> Mapping[Counted, int]:
        """Who has which entry."""
        return dict(self._entries)

    def add(self, owners: Iterable[Counted]) -> list[int]:
        """Give an entry to each owner that has none. Returns the entries given out, whose counts are another's."""
        given = []
        for owner in owners:
            if owner in self._entries:
                continue
            if not self._free:
                raise DatapathError("no entry is left to count traffic in: load the program anew")
            self._entries[owner] = self._free.pop()
            given.append(self._entries[owner])
        return given

    def keep(self, owners: Iterable[Counted]) -> None:
        """Take back the entries of all others."""
        for gone in self._entries.keys() - set(owners):
            self._free.append(self._entries.pop(gone))
