# SPDX-License-Identifier: MIT
"""Waiting until directors have found their backends healthy."""

import time
from collections.abc import Sequence
from pathlib import Path

from glb.daemon.report import read_report
from glb.errors import LabError

_BOUND_S = 30.0
_LOOK_AGAIN_S = 0.02


def wait_until_healthy(reports: Sequence[Path]) -> None:
    """Until no director's report has an unhealthy backend. Raises LabError that names those that stay so."""
    deadline = time.monotonic() + _BOUND_S
    while unhealthy := {address for report in reports for address in _unhealthy(report)}:
        if time.monotonic() > deadline:
            raise LabError(f"not healthy after {_BOUND_S:.0f} s: {', '.join(sorted(unhealthy))}")
        time.sleep(_LOOK_AGAIN_S)


def _unhealthy(report: Path) -> list[str]:
    tables = read_report(report).tables
    return [address for table in tables for address, state in table.backends.items() if state.endswith("unhealthy")]
