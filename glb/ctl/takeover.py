"""Seeing to it that the running directors of this host have loaded a file as it is now."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from glb.control.client import Client
from glb.control.errors import ControlError
from glb.daemon.report import Report, all_reports


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a director has loaded the file; if not, why not."""

    interface: str
    reloaded: bool
    error: str | None = None


def await_takeover(table: Path, timeout: float, reason: Mapping[str, str | None] | None = None) -> list[Outcome]:
    """Make each running director that serves from the table file reload, and wait until it has loaded or refused it.

    timeout: seconds for each of them; they are asked at the same time. reason: what the history says of the change, as
    the API takes it.
    """
    daemons = _daemons_with(table)
    if not daemons:
        return []
    with ThreadPoolExecutor(len(daemons)) as pool:
        answers = pool.map(lambda daemon: _reload(daemon, timeout, reason), daemons)
        outcomes = [outcome for answer in answers for outcome in answer]
    return sorted(outcomes, key=lambda outcome: outcome.interface)


def running_directors() -> list[Report]:
    """The reports, one an interface, of the directors that run on this host."""
    return [report for report in all_reports("director") if report.process.is_alive()]


def directors_with(table: Path) -> list[Report]:
    """The same of those that serve from the table file, by whatever name they or the caller know it."""
    return [report for report in running_directors() if Path(str(report.table_file)).resolve() == table.resolve()]


def _daemons_with(table: Path) -> list[list[Report]]:
    """The running directors that serve from the table file: of each daemon the reports of its interfaces."""
    daemons: dict[str | None, list[Report]] = {}
    for report in directors_with(table):
        daemons.setdefault(report.socket, []).append(report)
    return list(daemons.values())


def _reload(daemon: list[Report], timeout: float, reason: Mapping[str, str | None] | None) -> list[Outcome]:
    client = Client(Path(str(daemon[0].socket)), timeout)
    try:
        return [Outcome(**answer) for answer in client.post("/v1/reload", reason)]
    except ControlError as error:
        return [Outcome(report.interface, False, str(error)) for report in daemon]
