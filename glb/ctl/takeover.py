"""Seeing to it that the running directors of this host have loaded a file as it is now."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path

from watchfiles import watch

from glb.daemon.report import Report, all_reports, run_dir
from glb.director.sources import Sources


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a director has loaded the file; if not, why not."""

    interface: str
    reloaded: bool
    error: str | None = None


def await_takeover(table: Path, timeout: float) -> list[Outcome]:
    """Make each running director that serves from the table file reload, and wait until it has loaded or refused it.

    timeout: seconds for all of them together.
    """
    deadline = time.monotonic() + timeout
    users = _users_of(table)
    for report in users.values():
        report.process.send(signal.SIGHUP)
    outcomes: dict[str, Outcome] = {}
    while waiting := users.keys() - outcomes.keys():
        reports = _users_of(table)
        for interface in waiting:
            outcome = _outcome(interface, reports.get(interface))
            if outcome is not None:
                outcomes[interface] = outcome
        left = deadline - time.monotonic()
        if left <= 0:
            break
        if users.keys() - outcomes.keys():
            _wait_for_a_report(left)
    late = {name: Outcome(name, False, f"has not reloaded within {timeout:g} s") for name in users}
    return sorted((late | outcomes).values(), key=lambda outcome: outcome.interface)


def _users_of(table: Path) -> dict[str, Report]:
    """The running directors that serve from the table file, by interface."""
    path = str(table.resolve())
    return {r.interface: r for r in all_reports("director") if r.table_file == path and r.process.is_alive()}


def _outcome(interface: str, report: Report | None) -> Outcome | None:
    """None while the director has not come to the files as they are now."""
    if report is None:
        return Outcome(interface, False, "has ended meanwhile")
    digest = Sources(Path(str(report.config_file)), Path(str(report.table_file))).digest()
    if report.digest == digest:
        return Outcome(interface, True)
    if report.rejected_digest == digest:
        return Outcome(interface, False, report.error)
    return None


def _wait_for_a_report(seconds: float) -> None:
    """Wait until a report in the run directory changes. One that changed just before the wait began would go unseen,
    so no wait is long."""
    milliseconds = min(100, max(1, int(seconds * 1000)))
    next(watch(run_dir(), step=10, rust_timeout=milliseconds, yield_on_timeout=True, recursive=False), None)
