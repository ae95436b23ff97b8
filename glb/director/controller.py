"""The director daemon's work: files in, the same tables on each of its interfaces, and an account of it."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from glb.director.director import Director
from glb.director.sources import Loaded, Sources, read
from glb.errors import GlbError
from glb.table.builder import RowBuilder


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether an interface's datapath has the files as they are now; if not, why not."""

    interface: str
    reloaded: bool
    error: str | None = None


class Controller:
    """The datapaths of one daemon, all with the same tables. Not for two threads at once; its methods block."""

    def __init__(self, interfaces: Sequence[str], sources: Sources, socket: Path) -> None:
        """Read the files, fill the tables and attach; nothing is attached if anything is wrong.

        Raises ConfigError, TableError, NetworkError or DatapathError.
        """
        self._sources = sources
        self._builder = RowBuilder()
        self.loaded = read(sources, self._builder)
        self._refused: str | None = None
        with ExitStack() as undo:
            self.directors = [self._prepared(interface, socket, undo) for interface in interfaces]
            for director in self.directors:
                director.attach()
            undo.pop_all()

    def reload(self) -> list[Outcome]:
        """Put the files as they are now in the place of what is loaded; bad ones change nothing but the reports."""
        try:
            loaded = read(self._sources, self._builder)
        except GlbError as error:
            return self._reject(error)
        self.loaded = loaded
        self._refused = None
        return [self._apply(director, loaded) for director in self.directors]

    def reload_if_changed(self) -> None:
        """The same, unless the files are what was last loaded or refused."""
        try:
            digest = self._sources.digest()
        except GlbError as error:
            self._reject(error)
            return
        if digest not in (self.loaded.digest, self._refused):
            self.reload()

    def look_around(self) -> None:
        """Take over what has changed around the interfaces."""
        for director in self.directors:
            director.look_around()

    def detach(self) -> None:
        """Take the programs off the interfaces and remove every trace."""
        for director in self.directors:
            director.detach()

    def leave(self) -> None:
        """Let the datapaths go on without this process."""
        for director in self.directors:
            director.leave()

    def give_up(self) -> None:
        """Undo what this process has done: earlier daemons' datapaths stay, new ones go."""
        for director in self.directors:
            director.give_up()

    def _prepared(self, interface: str, socket: Path, undo: ExitStack) -> Director:
        director = Director(interface, self._sources, self.loaded, socket)
        undo.callback(director.give_up)
        return director

    def _apply(self, director: Director, loaded: Loaded) -> Outcome:
        try:
            director.apply(loaded)
        except GlbError as error:
            director.reject(error, loaded.digest)
            return Outcome(director.interface, False, str(error))
        return Outcome(director.interface, True)

    def _reject(self, error: GlbError) -> list[Outcome]:
        self._refused = self._digest_now()
        for director in self.directors:
            director.reject(error, self._refused)
        return [Outcome(director.interface, False, str(error)) for director in self.directors]

    def _digest_now(self) -> str | None:
        try:
            return self._sources.digest()
        except GlbError:
            return None
