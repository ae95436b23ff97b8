# SPDX-License-Identifier: MIT
"""What `glbctl lab status` shows: plain values, ready for a table or for JSON."""

from collections.abc import Collection
from dataclasses import dataclass

from glb.lab.hosts import Host
from glb.lab.places import namespace, pin_dir, run_dir, table_path
from glb.lab.state import State


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
    """The process that the lab goes down with, if any."""
    hosts: list[HostStatus]


def describe(state: State, announced: Collection[str]) -> LabStatus:
    """`announced`: the directors that the router sends to."""
    return LabStatus(
        name=state.name,
        run_dir=str(run_dir(state.name)),
        pin_dir=str(pin_dir(state.name)),
        table=str(table_path(state.name)),
        owner=state.owner.pid if state.owner else None,
        hosts=[_host(state, host, announced) for host in state.hosts],
    )


def _host(state: State, host: Host, announced: Collection[str]) -> HostStatus:
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
