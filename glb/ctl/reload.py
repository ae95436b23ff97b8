# SPDX-License-Identifier: MIT
"""Seeing to it that the running directors of this host have loaded a file as it is now."""

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
    """Whether a director has loaded the file; if not, why not."""

    interface: str
    reloaded: bool
    error: str | None = None


_STATUS_SECONDS = 5.0
_AGREEMENT_SECONDS = 5.0  # in which a director that has not seen the newest file yet, sees it
_BETWEEN_LOOKS = 0.2


def await_reload(table: Path, timeout: float) -> list[ReloadResult]:
    """Make each running director that serves from the table file reload, and wait until it has loaded or refused it.

    timeout: seconds for each of them; they are asked at the same time.
    """
    daemons = _daemons_with(table)
    if not daemons:
        return []
    with ThreadPoolExecutor(len(daemons)) as pool:
        answers = pool.map(lambda daemon: _reload(daemon, timeout), daemons)
        outcomes = [outcome for answer in answers for outcome in answer]
    return sorted(outcomes, key=lambda outcome: outcome.interface)


def require_agreement(table: Path) -> None:
    """Raise GlbError unless all daemons here that follow the file answer, and have the same tables loaded.

    Then a plan by one of them is a plan for all.
    """
    daemons = _daemons_with(table)
    if len(daemons) < 2:
        return
    deadline = time.monotonic() + _AGREEMENT_SECONDS
    while len(digests := _digests(daemons)) > 1:
        if time.monotonic() > deadline:
            told = ", ".join(f"{interface} {digest[:12]}" for digest, interface in digests.items())
            raise GlbError(
                f"{table}: refused, since the directors here have different tables loaded ({told}): "
                "`glbctl director status` says why (--force changes the file all the same)"
            )
        time.sleep(_BETWEEN_LOOKS)


def _digests(daemons: list[list[Report]]) -> dict[str, str]:
    """The digests of the tables that are loaded, and the first interface that has each. Raises ControlError."""
    digests: dict[str, str] = {}
    for daemon in daemons:
        for report in Client(Path(str(daemon[0].socket)), _STATUS_SECONDS).get("/v1/status"):
            digests.setdefault(str(report["tables_digest"]), report["interface"])
    return digests


def _daemons_with(table: Path) -> list[list[Report]]:
    """The running directors that serve from the table file: of each daemon the reports of its interfaces."""
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
