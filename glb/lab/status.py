# SPDX-License-Identifier: MIT
"""The state of a lab: what `glbctl lab status` shows, and the wait for healthy backends."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from glb.daemon.report import read_report
from glb.errors import LabError
from glb.lab.hosts import LabHost
from glb.lab.paths import namespace, pin_dir, run_dir, table_path
from glb.lab.state import LabState

_BOUND_S = 30.0
_LOOK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    program: str
    pid: int
    alive: bool


@dataclass(frozen=True, slots=True)
class HostStatus:
    name: str
    role: str
    namespace: str
    addresses: list[str]
    processes: list[ProcessStatus]
    announced: bool | None
    """Whether the router sends to this director; None for other hosts."""


@dataclass(frozen=True, slots=True)
class LabStatus:
    name: str
    run_dir: str
    pin_dir: str
    table: str
    owner: int | None
    """The process that owns the lab, if any."""
    hosts: list[HostStatus]


def describe(state: LabState, announced: Collection[str]) -> LabStatus:
    """`announced`: the directors that the router sends to."""
    return LabStatus(
        name=state.name,
        run_dir=str(run_dir(state.name)),
        pin_dir=str(pin_dir(state.name)),
        table=str(table_path(state.name)),
        owner=state.owner.pid if state.owner else None,
        hosts=[_host(state, host, announced) for host in state.hosts],
    )


def _host(state: LabState, host: LabHost, announced: Collection[str]) -> HostStatus:
    processes = [
        ProcessStatus(running.program, running.id.pid, running.id.is_alive())
        for running in state.running
        if running.host == host.name
    ]
    return HostStatus(
        name=host.name,
        role=str(host.role),
        namespace=namespace(state.name, host.name),
        addresses=[str(address.ip) for address in host.addresses],
        processes=processes,
        announced=host.name in announced if host.role == "director" else None,
    )


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
