# SPDX-License-Identifier: MIT
"""The datapaths of the daemon's interfaces: puts tables in force, and follows health and the network."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from glb.config.model import NO_TABLES, ForwardingTables
from glb.director.director import Director, Prepared, Renew
from glb.director.sources import Loaded
from glb.errors import GlbError
from glb.health.view import HealthView
from glb.table.builder import RowBuilder

log = logging.getLogger(__name__)

_COPIED_AT_ONCE = 32  # tables' rows, some 20 ms: health waits for no more than that

SURVIVED = (GlbError, MemoryError)
"""Errors after which an interface keeps its old tables."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Whether the present files are in force at an interface; if not, the error."""

    interface: str
    reloaded: bool
    error: str | None = None


class Forwarding:
    """The datapaths of one daemon, all with the same tables. Belongs to the lane `traffic`: its methods are short.

    Attributes that other lanes read (`loaded`, the reports of `directors`) are replaced, never modified.
    """

    def __init__(self, directors: Sequence[Director], builder: RowBuilder, health: Callable[[], HealthView]) -> None:
        """health: returns the newest health."""
        self.directors = tuple(directors)
        self._builder = builder
        self._health = health
        self._view: HealthView | None = None  # the newest that was applied
        self._newest = self.directors[0].loaded.digest
        self.refresh_seconds = 0.0
        """The duration of the latest refresh."""

    @property
    def loaded(self) -> Loaded:
        """The files in force: the newest ones if an interface has them, otherwise the earlier ones."""
        in_force = [director.loaded for director in self.directors]
        return next((loaded for loaded in in_force if loaded.digest == self._newest), in_force[0])

    @property
    def in_force(self) -> list[ForwardingTables]:
        """The tables of each interface."""
        return [director.loaded.given or NO_TABLES for director in self.directors]

    def commit(
        self, prepared: Sequence[tuple[Director, Prepared | Exception]], digest: str, started: float, is_first: bool
    ) -> list[LoadResult]:
        """Put prepared files in force, each at its interface, or report there why they could not be prepared.

        digest: of these files. started: when this load began, by time.monotonic(). is_first: whether this is the first
        attempt to put them in force.
        """
        self._newest = digest
        renew = self._renewal(self._health())
        results = []
        for director, each in prepared:
            error = each if isinstance(each, Exception) else _error_of_commit(director, each, renew, started)
            if error is not None:
                director.refuse(error, digest, is_first)
            results.append(LoadResult(director.interface, error is None, None if error is None else str(error)))
        return results

    def apply_health(self) -> None:
        """Put the newest health in force: new connections go to healthy backends."""
        view = self._health()
        if view is self._view:
            return
        self._view = view
        started = time.monotonic()
        renew = self._renewal(view)
        for director in self.directors:
            try:
                director.apply_health(renew, started)
            except SURVIVED as error:
                log.error(
                    "%s: health: not applied, the old tables stay in force: %s",
                    director.interface,
                    error or "out of memory",
                )

    def copy_ahead(self) -> bool:
        """Write some of the rows in force into the idle generations, so that the next change of health is quick.

        Returns whether there are more.
        """
        return any(director.copy_ahead(_COPIED_AT_ONCE) for director in self.directors)

    def refresh(self) -> None:
        """Follow changes of the network at each interface."""
        began = time.monotonic()
        for director in self.directors:
            director.refresh()
        self.refresh_seconds = time.monotonic() - began

    def reject(self, error: Exception, digest: str | None) -> list[LoadResult]:
        """Report that files with this digest were refused. digest: None if they cannot be read."""
        for director in self.directors:
            director.reject(error, digest)
        return [LoadResult(director.interface, False, str(error)) for director in self.directors]

    def note(self, **facts: Any) -> None:
        """Change fields of each interface's status that the caller determines."""
        for director in self.directors:
            director.note(**facts)

    def note_metrics(self, places: tuple[str, ...], trouble: str | None) -> None:
        """Record in the status where the metrics exporter listens, or why it does not."""
        for director in self.directors:
            director.note_metrics(places, trouble)

    def self_test(self) -> None:
        """Raise DatapathError if an interface's datapath fails on a test packet."""
        for director in self.directors:
            director.self_test()

    def detach(self) -> None:
        """Detach the programs, and remove all pins and files."""
        for director in self.directors:
            director.detach()

    def leave(self) -> None:
        """Leave the datapaths attached when this process exits."""
        for director in self.directors:
            director.leave()

    def give_up(self) -> None:
        """Revert a failed start: leave earlier daemons' datapaths attached, and remove new ones."""
        for director in self.directors:
            director.give_up()

    def _renewal(self, view: HealthView) -> Renew:
        renewed: dict[str, Loaded] = {}

        def renew(loaded: Loaded) -> Loaded:
            if loaded.digest not in renewed:
                renewed[loaded.digest] = loaded.with_health(view, self._builder)
            return renewed[loaded.digest]

        return renew


def _error_of_commit(director: Director, prepared: Prepared, renew: Renew, started: float) -> Exception | None:
    try:
        director.commit(prepared, renew, started)
    except SURVIVED as error:
        return error
    return None
