# SPDX-License-Identifier: MIT
"""Whether a backend that is waited for still drains: somebody may change its table meanwhile."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from glb.config.load import load_tables
from glb.config.model import Address, State
from glb.errors import ConfigError


class Standing:
    """A backend in the tables of a file that it was drained in."""

    def __init__(self, path: Path, address: Address, tables: Collection[str]) -> None:
        self._path = path
        self._address = address
        self._tables = tables
        self._seen: tuple[int, int] | None = None
        self._moves: tuple[str, ...] = ()

    def moves(self) -> tuple[str, ...]:
        """What somebody else has made of it, such as "web: 10.0.0.11 is active"; empty as long as it drains.

        A file that cannot be read says nothing new.
        """
        with suppress(OSError, ConfigError):
            file = self._path.stat()
            version = (file.st_ino, file.st_mtime_ns)
            if version != self._seen:
                self._moves = tuple(self._found())
                self._seen = version
        return self._moves

    def _found(self) -> Iterator[str]:
        tables = {table.name: table for table in load_tables(self._path).tables}
        for name in self._tables:
            if name not in tables:
                yield f"table {name} is not there any more"
                continue
            states = {backend.address: backend.state for backend in tables[name].backends}
            state = states.get(self._address)
            if state is not State.DRAINING:
                yield f"{name}: {self._address} is {state or 'not listed any more'}"
