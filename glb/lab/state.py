# SPDX-License-Identifier: MIT
"""The state of a lab, as stored in its lab.json."""

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from glb.daemon.process import ProcessId
from glb.errors import LabError
from glb.lab.hosts import LabHost
from glb.lab.paths import STATE_FILE, run_dir
from glb.lab.routing import LabRouting


@dataclass(frozen=True, slots=True)
class RunningProgram:
    """A program that was started on a host."""

    host: str
    program: str
    id: ProcessId


@dataclass(frozen=True, slots=True)
class LabState:
    name: str
    owner: ProcessId | None
    """The process that owns the lab; None: the lab stays up until `down`."""
    hosts: tuple[LabHost, ...] = ()
    announced: tuple[str, ...] = ()
    """The directors in the router's routes to the VIPs."""
    running: tuple[RunningProgram, ...] = ()
    routing: LabRouting | None = None
    """How directors announce the VIPs themselves; None: the lab sets the router's routes."""

    def with_host(self, host: LabHost) -> "LabState":
        return replace(self, hosts=(*self.hosts, host))

    def without_host(self, name: str) -> "LabState":
        running = tuple(program for program in self.running if program.host != name)
        return replace(self, hosts=tuple(host for host in self.hosts if host.name != name), running=running)

    def with_running(self, started: RunningProgram) -> "LabState":
        others = self.without_running(started.host, started.program).running
        return replace(self, running=(*others, started))

    def without_running(self, host: str, program: str) -> "LabState":
        others = tuple(r for r in self.running if (r.host, r.program) != (host, program))
        return replace(self, running=others)


_JSON = TypeAdapter(LabState)


def save(state: LabState, folder: Path | None = None) -> None:
    """Replace lab.json in one step, in the lab's folder unless another is given."""
    path = (folder or run_dir(state.name)) / STATE_FILE
    draft = path.with_suffix(".new")
    draft.write_bytes(_JSON.dump_json(state, indent=2))
    draft.replace(path)


def load(lab: str) -> LabState:
    """Raises LabError if there is no such lab, or its lab.json cannot be read."""
    path = run_dir(lab) / STATE_FILE
    try:
        return _JSON.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise LabError(f"no lab {lab!r} is up: `glbctl lab up` starts one") from None
    except ValidationError as error:
        raise LabError(f"{path} cannot be read: {error}; `glbctl lab down` removes it") from error
