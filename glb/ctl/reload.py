# SPDX-License-Identifier: MIT
"""Reload: make the running directors of this host load a table file, and check that they agree."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from glb.control.client import Client
from glb.ctl.targets import directors_with
from glb.daemon.report import Report
from glb.errors import ControlError, GlbError


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """Whether a director has loaded the file. error: the reason if not."""

    interface: str
    reloaded: bool
    error: str | None = None


_STATUS_SECONDS = 5.0
_AGREEMENT_SECONDS = 5.0  # for directors that have not loaded the newest file yet
_POLL_SECONDS = 0.2


def await_reload(table: Path, timeout: float) -> list[ReloadResult]:
    """Make each running director that follows the table file reload it; wait until it has loaded or refused the file.

    timeout: seconds for each director; the requests run in parallel.
    """
    daemons = _daemons_with(table)
    if not daemons:
        return []
    with ThreadPoolExecutor(len(daemons)) as pool:
        answers = pool.map(lambda daemon: _reload(daemon, timeout), daemons)
        outcomes = [outcome for answer in answers for outcome in answer]
    return sorted(outcomes, key=lambda outcome: outcome.interface)


def require_agreement(table: Path) -> None:
    """Raise GlbError unless all daemons here that follow the file answer and have loaded the same tables.

    Then the plan of one of them holds for all.
    """
    daemons = _daemons_with(table)
    if len(daemons) < 2:
        return
    deadline = time.monotonic() + _AGREEMENT_SECONDS
    while len(digests := _digests(daemons)) > 1:
        if time.monotonic() > deadline:
            loaded = ", ".join(f"{interface} {digest[:12]}" for digest, interface in digests.items())
            raise GlbError(
                f"{table}: refused, since the directors here have loaded different tables ({loaded}); "
                "see `glbctl director status` (override with --force)"
            )
        time.sleep(_POLL_SECONDS)


def _digests(daemons: list[list[Report]]) -> dict[str, str]:
    """The digests of the loaded tables, each with the first interface that has it. Raises ControlError."""
    digests: dict[str, str] = {}
    for daemon in daemons:
        for report in Client(Path(str(daemon[0].socket)), _STATUS_SECONDS).get("/v1/status"):
            digests.setdefault(str(report["tables_digest"]), report["interface"])
    return digests


def _daemons_with(table: Path) -> list[list[Report]]:
    """The running directors that follow the table file, grouped by daemon."""
    daemons: dict[str | None, list[Report]] = {}
    for report in directors_with(table):
        daemons.setdefault(report.socket, []).append(report)
    return list(daemons.values())


def _reload(daemon: list[Report], timeout: float) -> list[ReloadResult]:
    client = Client(Path(str(daemon[0].socket)), timeout)
    try:
        return [ReloadResult(**answer) for answer in client.post("/v1/reload")]
    except ControlError as error:
        return [ReloadResult(report.interface, False, str(error)) for report in daemon]
