# SPDX-License-Identifier: MIT
"""A running lab: its hosts, files and processes, and commands, captures and connections that do not change it."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from glb.daemon.process import ProcessId
from glb.errors import LabError
from glb.lab import hosts, process, routes
from glb.lab.capture import FrameCapture
from glb.lab.hosts import HostRole, LabHost
from glb.lab.live_connections import LiveConnections
from glb.lab.paths import environment, log_path, namespace, pin_dir, run_dir, table_path
from glb.lab.state import LabState
from glb.lab.status import LabStatus, describe
from glb.lab.traffic import Traffic
from glb.network.namespaces import within

DAEMON = "glbctl"
_ROUTES_BOUND_S = 60.0
_LOOK_AGAIN_S = 0.02

T = TypeVar("T")


class LabView:
    """The parts of a lab, and the commands, captures and connections that use it."""

    def __init__(self, found: LabState) -> None:
        self._state = found

    @property
    def name(self) -> str:
        return self._state.name

    @property
    def run_dir(self) -> Path:
        return run_dir(self.name)

    @property
    def pin_dir(self) -> Path:
        return pin_dir(self.name)

    @property
    def table_path(self) -> Path:
        """The table file of the directors."""
        return table_path(self.name)

    @property
    def env(self) -> dict[str, str]:
        """The environment of the lab's processes."""
        return environment(self.name)

    @property
    def hosts(self) -> list[LabHost]:
        return list(self._state.hosts)

    @property
    def directors(self) -> list[LabHost]:
        return [host for host in self.hosts if host.role is HostRole.DIRECTOR]

    @property
    def proxies(self) -> list[LabHost]:
        return [host for host in self.hosts if host.role is HostRole.PROXY]

    def host(self, name: str) -> LabHost:
        """Raises LabError if there is no such host."""
        for host in self.hosts:
            if host.name == name:
                return host
        there = ", ".join(host.name for host in self.hosts)
        raise LabError(f"lab {self.name!r} has no host {name!r}; it has {there}")

    def namespace(self, host: str) -> str:
        """The name of a host's network namespace."""
        return namespace(self.name, self.host(host).name)

    def log(self, host: str, program: str = DAEMON) -> str:
        """The output of a program on a host so far."""
        path = log_path(self.name, self.host(host).name, program)
        return path.read_text(errors="replace") if path.exists() else ""

    def process_id(self, host: str, program: str = DAEMON) -> ProcessId:
        """Raises LabError if the program was not started, or was stopped."""
        for running in self._state.running:
            if (running.host, running.program) == (host, program):
                return running.id
        raise LabError(f"no {program} runs on {self.host(host).name} in lab {self.name!r}")

    def status(self) -> LabStatus:
        return describe(self._state, self.announced())

    def announced(self) -> set[str]:
        """The directors in the router's routes to the VIPs of both families, removed ones included."""
        if self._state.routing is None:
            return set(self._state.announced)
        router_namespace = self.namespace(hosts.ROUTER.name)
        gateways = {gateway for vip in hosts.VIPS for gateway in routes.gateways(router_namespace, vip)}
        known = map(hosts.director, range(1, hosts.MAX_DIRECTORS + 1))
        return {director.name for director in known if gateways.issuperset(a.ip for a in director.addresses)}

    def wait_until_announced(self, directors: Iterable[str]) -> None:
        """Wait until the router's routes contain exactly these directors. Raises LabError after 60 s."""
        wanted = set(directors)
        deadline = time.monotonic() + _ROUTES_BOUND_S
        while (found := self.announced()) != wanted:
            if time.monotonic() > deadline:
                raise LabError(
                    f"the router sends to {sorted(found)} after {_ROUTES_BOUND_S:.0f} s, not to {sorted(wanted)}"
                )
            time.sleep(_LOOK_AGAIN_S)

    def exec(self, host: str, argv: Sequence[str]) -> int:
        """Run a command on a host, attached to the terminal. Returns its exit status."""
        return subprocess.run(self._argv(host, argv), env=self.env, check=False).returncode

    def run(self, host: str, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command on a host and capture its output; the caller checks the status."""
        return subprocess.run(self._argv(host, argv), env=self.env, check=False, capture_output=True, text=True)

    def within(self, host: str, action: Callable[[], T]) -> T:
        """Run a function inside a host's namespace, in a new thread."""
        return within(self.namespace(host), action)

    def open_socket(self, host: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket in a host's namespace, for use in this process."""
        return self.within(host, lambda: socket.socket(family, kind, protocol))

    def capture(self, host: str, interface: str | None = None) -> FrameCapture:
        """Capture frames on an interface (default: the host's) within a `with` block.

        `capture("dc", "director1")` receives what a director or a proxy sends by XDP_TX.
        """
        return FrameCapture(self.namespace(host), interface or host)

    def traffic(self, *arguments: str) -> Traffic:
        """Start the load generator on the client, with the arguments of `python -m glb.lab.load`."""
        return Traffic(self.namespace(hosts.CLIENT.name), arguments, self.env)

    def live_connections(self, number: int) -> LiveConnections:
        """Keep connections of the client open, each with several requests a second."""
        return LiveConnections(self.namespace(hosts.CLIENT.name), number, self.env)

    def _argv(self, host: str, argv: Sequence[str]) -> list[str]:
        return process.argv_in(self.namespace(host), argv)
