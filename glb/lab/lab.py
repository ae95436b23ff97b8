# SPDX-License-Identifier: MIT
"""The lab: bring it up, change it, use it, take it down."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from glb.daemon.process import ProcessId
from glb.errors import LabError
from glb.lab import glbfiles, hosts, leftovers, netns, nginx, process, router, routes, state, topology
from glb.lab.capture import Capture
from glb.lab.files import write_all
from glb.lab.health import wait_until_healthy
from glb.lab.hosts import HTTP_PORT, Host, Role
from glb.lab.places import (
    check_name,
    director_config_path,
    environment,
    log_path,
    namespace,
    pin_dir,
    proxy_config_path,
    report_path,
    run_dir,
    table_path,
)
from glb.lab.process import Daemon, Program
from glb.lab.pulses import Pulses
from glb.lab.routing import Routing
from glb.lab.state import Running, State
from glb.lab.status import LabStatus, describe
from glb.lab.traffic import Traffic
from glb.network.namespaces import within

DEFAULT_NAME = "lab"
DAEMON = "glbctl"
WEB_SERVER = "nginx"
_ROUTES_BOUND_S = 60.0
_LOOK_AGAIN_S = 0.02

T = TypeVar("T")


class Lab:
    """A network of namespaces with directors and proxies in it.

    Make one with `Lab.up`, find one with `Lab.load`. As a context manager it is taken down at the end.
    """

    def __init__(self, found: State) -> None:
        self._state = found

    # Begin and end

    @classmethod
    def up(
        cls,
        name: str = DEFAULT_NAME,
        *,
        directors: int = 2,
        proxies: int = 3,
        daemons: bool = True,
        health_checks: bool = True,
        owned: bool = False,
        routing: Routing | None = None,
    ) -> "Lab":
        """Bring a lab up, in place of what is left of one of this name; if that fails, nothing is left.

        Without `daemons`, there is only the network and the web servers. Without `health_checks`, nobody but clients
        sends anything to the proxies, and each is taken for healthy. A lab that is `owned` by the calling
        process is swept away after it, should it die without taking it down.

        With `routing`, the directors announce the VIPs to the router by BGP, and the lab sets no routes to them.

        Raises LabError if a living process owns a lab of this name, or a part does not start.
        """
        check_name(name)
        _check_counts(directors, proxies)
        leftovers.sweep()
        lab = cls(State(name, owner=ProcessId.own(), routing=routing))
        leftovers.claim(lab._state)
        try:
            lab._build(
                [hosts.director(n + 1) for n in range(directors)],
                [hosts.proxy(n + 1) for n in range(proxies)],
                health_checks,
            )
            if daemons:
                lab._start_daemons([host.name for host in (*lab.proxies, *lab.directors)])
                wait_until_healthy([report_path(lab.name, director.name) for director in lab.directors])
                if routing is not None:
                    lab.wait_until_announced([director.name for director in lab.directors])
            if not owned:
                lab.release()
        except BaseException:
            lab.down()
            raise
        return lab

    @classmethod
    def load(cls, name: str = DEFAULT_NAME) -> "Lab":
        """A lab that is up. Raises LabError if there is none of this name."""
        check_name(name)
        return cls(state.load(name))

    @staticmethod
    def names() -> list[str]:
        """The labs that are up."""
        return leftovers.names()

    @staticmethod
    def remove(name: str = DEFAULT_NAME) -> None:
        """Remove whatever there is of a lab, also if it cannot be loaded. Nothing there is fine."""
        check_name(name)
        leftovers.remove(name)

    @staticmethod
    def sweep() -> list[str]:
        """Remove the labs whose owner has died. Returns their names."""
        return leftovers.sweep()

    def release(self) -> None:
        """Let the lab stay up after the process that owns it, until it is taken down."""
        self._change(replace(self._state, owner=None))

    def down(self) -> None:
        """Take the lab down: processes, namespaces, pins and files."""
        leftovers.remove(self.name)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    # What is there

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
        """The source of the forwarding table that the directors follow."""
        return table_path(self.name)

    @property
    def env(self) -> dict[str, str]:
        """The environment that everything in the lab runs with."""
        return environment(self.name)

    @property
    def hosts(self) -> list[Host]:
        return list(self._state.hosts)

    @property
    def directors(self) -> list[Host]:
        return [host for host in self.hosts if host.role is Role.DIRECTOR]

    @property
    def proxies(self) -> list[Host]:
        return [host for host in self.hosts if host.role is Role.PROXY]

    def host(self, name: str) -> Host:
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
        """What a program on a host has printed so far."""
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
        """The directors that the router spreads the VIPs of both families over, those that are gone included."""
        if self._state.routing is None:
            return set(self._state.announced)
        router_namespace = self.namespace(hosts.ROUTER.name)
        gateways = {gateway for vip in hosts.VIPS for gateway in routes.gateways(router_namespace, vip)}
        known = map(hosts.director, range(1, hosts.MAX_DIRECTORS + 1))
        return {director.name for director in known if gateways.issuperset(a.ip for a in director.addresses)}

    def wait_until_announced(self, directors: Iterable[str]) -> None:
        """Wait until the router spreads the VIPs over exactly these directors. Raises LabError if it does not."""
        wanted = set(directors)
        deadline = time.monotonic() + _ROUTES_BOUND_S
        while (found := self.announced()) != wanted:
            if time.monotonic() > deadline:
                raise LabError(
                    f"the router sends to {sorted(found)} after {_ROUTES_BOUND_S:.0f} s, not to {sorted(wanted)}"
                )
            time.sleep(_LOOK_AGAIN_S)

    # Change it

    def add_director(self, *, daemon: bool = True) -> Host:
        """Bring up the next director. Without routing, `announce` lets the router send to it.

        Raises LabError if a part of it does not start.
        """
        host = hosts.director(1 + max((hosts.number(director) for director in self.directors), default=0))
        self._add_director(host)
        if self._state.routing is not None:
            router.reconfigure(self.name, self.directors, self._state.routing)
        if daemon:
            self.start_director(host.name)
        return host

    def remove_director(self, name: str) -> None:
        """Take a director away with all that runs on it, as if its machine had lost power: nobody is told."""
        host = self._with_role(name, Role.DIRECTOR)
        topology.unplug(self.name, host)
        process.kill_all_in(self.namespace(host.name))
        netns.remove(self.namespace(host.name))
        self._change(self._state.without_host(host.name))

    def restart_router(self) -> None:
        """Kill what speaks BGP on the router and start it again; the kernel forwards meanwhile."""
        if self._state.routing is None:
            raise LabError(
                f"the router of lab {self.name!r} speaks no BGP: `glbctl lab up --routing` brings one up that does"
            )
        here = {name: self.process_id(hosts.ROUTER.name, name) for name in router.programs(self._state.routing.router)}
        router.kill(here)
        self._start_router(again=True)

    def add_proxy(self, *, daemon: bool = True) -> Host:
        """Bring up the next proxy. The forwarding table does not name it yet: that is `glbctl backend fill`.

        Raises LabError if a part of it does not start.
        """
        number = 1 + max((hosts.number(proxy) for proxy in self.proxies), default=0)
        if number > hosts.MAX_PROXIES:
            raise LabError(f"lab {self.name!r} is full: proxy{hosts.MAX_PROXIES} is the last")
        host = hosts.proxy(number)
        self._add_proxies([host])
        if daemon:
            self.start_proxy(host.name)
        return host

    def remove_proxy(self, name: str) -> None:
        """Take a proxy away with all that runs on it, as if its machine were gone: nobody is told."""
        host = self._with_role(name, Role.PROXY)
        topology.unplug(self.name, host)
        process.kill_all_in(self.namespace(host.name))
        netns.remove(self.namespace(host.name))
        self._change(self._state.without_host(host.name))

    def start_director(self, name: str) -> None:
        """Start a director's daemon and wait until it is ready. Raises LabError if it does not get ready."""
        self._start_daemons([self._with_role(name, Role.DIRECTOR).name])

    def start_proxy(self, name: str) -> None:
        """Start a proxy's daemon and wait until it is ready. Raises LabError if it does not get ready."""
        self._start_daemons([self._with_role(name, Role.PROXY).name])

    def start_web_server(self, name: str, *, port: int = HTTP_PORT, status: int = 200) -> None:
        """Start a proxy's web server again, and wait until it listens on this port and answers with this HTTP status.

        Raises LabError if it does not listen.
        """
        self._start_web_servers([self._with_role(name, Role.PROXY)], port, status)

    def stop(self, host: str, program: str = DAEMON) -> None:
        """Let a program end by SIGTERM, and wait for it."""
        self._end(host, program, signal.SIGTERM)

    def kill(self, host: str, program: str = DAEMON) -> None:
        """End a program by SIGKILL, so that it cannot tidy up."""
        self._end(host, program, signal.SIGKILL)

    def withdraw(self, director: str) -> None:
        """Let the router send nothing to a director any more."""
        self._with_role(director, Role.DIRECTOR)
        self._announce([name for name in self._state.announced if name != director])

    def announce(self, director: str) -> None:
        """Let the router send a director its share again."""
        self._with_role(director, Role.DIRECTOR)
        self._announce([*self._state.announced, director])

    def set_sysctl(self, host: str, key: str, value: int | str) -> None:
        """Set e.g. `net.ipv4.tcp_syncookies` on a host."""
        netns.set_sysctls(self.namespace(host), {key: value})

    # Use it

    def exec(self, host: str, argv: Sequence[str]) -> int:
        """Run a command on a host, attached to the terminal. Returns its exit status."""
        return subprocess.run(self._argv(host, argv), env=self.env, check=False).returncode

    def run(self, host: str, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command on a host and keep what it prints; its status is the caller's to judge."""
        return subprocess.run(self._argv(host, argv), env=self.env, check=False, capture_output=True, text=True)

    def within(self, host: str, action: Callable[[], T]) -> T:
        """Run a function inside a host's namespace, in a thread of its own."""
        return within(self.namespace(host), action)

    def open_socket(self, host: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that lives in a host's namespace, to be used from here."""
        return self.within(host, lambda: socket.socket(family, kind, protocol))

    def capture(self, host: str, interface: str | None = None) -> Capture:
        """Record frames on an interface (the host's own, unless told) within a `with` block.

        What a director or a proxy sends by XDP_TX shows at `capture("dc", "director1")`, as received there.
        """
        return Capture(self.namespace(host), interface or host)

    def traffic(self, *arguments: str) -> Traffic:
        """Start the load generator on the client, with the arguments of `python -m glb.lab.load`."""
        return Traffic(self.namespace(hosts.CLIENT.name), arguments, self.env)

    def live_connections(self, number: int) -> Pulses:
        """Keep connections of the client alive, which are asked for an answer several times a second."""
        return Pulses(self.namespace(hosts.CLIENT.name), number, self.env)

    # Inside

    def _build(self, directors: Sequence[Host], proxies: Sequence[Host], health_checks: bool) -> None:
        self._change(replace(self._state, hosts=(hosts.CLIENT, hosts.ROUTER, hosts.SWITCH)))
        topology.build_core(self.name)
        for director in directors:
            self._add_director(director)
        if self._state.routing is None:
            self._announce([director.name for director in directors])
        else:
            self._start_router()
        write_all(self.run_dir / "www" / "files")
        self.table_path.write_text(glbfiles.forwarding_table(proxies, health_checks))
        self._add_proxies(proxies)

    def _add_director(self, director: Host) -> None:
        self._change(self._state.with_host(director))
        topology.add_director(self.name, director)
        config = glbfiles.director(director, self._state.routing)
        director_config_path(self.name, director.name).write_text(config)

    def _start_router(self, *, again: bool = False) -> None:
        assert self._state.routing is not None
        for program, identity in router.start(self.name, self.directors, self._state.routing, again=again).items():
            self._started(hosts.ROUTER.name, program, identity)

    def _add_proxies(self, added: Sequence[Host]) -> None:
        for proxy in added:
            self._change(self._state.with_host(proxy))
            topology.add_proxy(self.name, proxy)
            proxy_config_path(self.name, proxy.name).write_text(glbfiles.proxy(proxy))
        self._start_web_servers(added)

    def _start_web_servers(self, proxies: Sequence[Host], port: int = HTTP_PORT, status: int = 200) -> None:
        """Start them all, then wait for each."""
        started = [(proxy, self._start_web_server(proxy, port, status)) for proxy in proxies]
        for proxy, server in started:
            self._started(proxy.name, WEB_SERVER, server.id)
            server.wait_until_listening(port)

    def _start_web_server(self, proxy: Host, port: int, status: int) -> Program:
        configuration = self.run_dir / f"{proxy.name}-nginx.conf"
        configuration.write_text(nginx.configuration(proxy.name, self.run_dir, port, status))
        log = log_path(self.name, proxy.name, WEB_SERVER)
        return Program(self.namespace(proxy.name), nginx.argv(configuration), log, self.env)

    def _start_daemons(self, names: Sequence[str]) -> None:
        """Start them all, then wait for each."""
        started = [(name, self._start_daemon(self.host(name))) for name in names]
        for name, daemon in started:
            self._started(name, DAEMON, daemon.id)
            daemon.wait_until_ready()

    def _start_daemon(self, host: Host) -> Daemon:
        log = log_path(self.name, host.name, DAEMON)
        return Daemon(self.namespace(host.name), self._daemon_argv(host), log, self.env)

    def _daemon_argv(self, host: Host) -> list[str]:
        if host.role is Role.PROXY:
            settings = str(proxy_config_path(self.name, host.name))
            return ["glbctl", "proxy", "run", "--iface", host.name, "--config", settings]
        configuration = str(director_config_path(self.name, host.name))
        run = ["glbctl", "director", "run", "--iface", host.name]
        return [*run, "--config", configuration, "--table", str(self.table_path)]

    def _started(self, host: str, program: str, identity: ProcessId) -> None:
        self._change(self._state.with_running(Running(host, program, identity)))

    def _end(self, host: str, program: str, how: signal.Signals) -> None:
        process.end(self.process_id(host, program), how)
        self._change(self._state.without_running(host, program))

    def _announce(self, names: Sequence[str]) -> None:
        chosen = [director for director in self.directors if director.name in names]
        topology.announce(self.name, chosen)
        self._change(replace(self._state, announced=tuple(director.name for director in chosen)))

    def _with_role(self, name: str, role: Role) -> Host:
        host = self.host(name)
        if host.role is not role:
            raise LabError(f"{name} is a {host.role}, not a {role}")
        return host

    def _argv(self, host: str, argv: Sequence[str]) -> list[str]:
        return process.argv_in(self.namespace(host), argv)

    def _change(self, changed: State) -> None:
        state.save(changed)
        self._state = changed


def _check_counts(directors: int, proxies: int) -> None:
    for what, number, most in (
        ("directors", directors, hosts.MAX_DIRECTORS),
        ("proxies", proxies, hosts.MAX_PROXIES),
    ):
        if not 1 <= number <= most:
            raise LabError(f"{number} {what}: the lab takes 1 to {most}")
