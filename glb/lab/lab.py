# SPDX-License-Identifier: MIT
"""The lab: bring it up, change it, take it down."""

import signal
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType

from glb.daemon.process import ProcessId
from glb.errors import LabError
from glb.lab import config_files, hosts, leftovers, netns, nginx, process, router, state, topology
from glb.lab.hosts import HTTP_PORT, HostRole, LabHost
from glb.lab.paths import (
    check_name,
    director_config_path,
    log_path,
    proxy_config_path,
    report_path,
)
from glb.lab.process import LabDaemon, LabProgram
from glb.lab.routing import LabRouting
from glb.lab.state import LabState, RunningProgram
from glb.lab.status import wait_until_healthy
from glb.lab.view import DAEMON, LabView
from glb.lab.web_files import write_all

DEFAULT_NAME = "lab"
WEB_SERVER = "nginx"


class Lab(LabView):
    """A network of namespaces with directors and proxies in it.

    Make one with `Lab.up`, find one with `Lab.load`. As a context manager it is taken down at the end.
    """

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
        routing: LabRouting | None = None,
    ) -> "Lab":
        """Start a lab; what is left of an earlier one of this name is removed. After a failure, nothing is left.

        Without `daemons`, only the network and the web servers are started. Without `health_checks`, only clients
        send packets to the proxies, and all proxies count as healthy. If `owned`, the lab belongs to the calling
        process: it is removed by the next `sweep` after that process has died.

        With `routing`, the directors announce the VIPs to the router by BGP, and the lab sets no routes to them.

        Raises LabError if a living process owns a lab of this name, or a part does not start.
        """
        check_name(name)
        _check_counts(directors, proxies)
        leftovers.sweep()
        lab = cls(LabState(name, owner=ProcessId.own(), routing=routing))
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
        """A running lab. Raises LabError if there is none of this name."""
        check_name(name)
        return cls(state.load(name))

    @staticmethod
    def names() -> list[str]:
        """The names of the running labs."""
        return leftovers.names()

    @staticmethod
    def remove(name: str = DEFAULT_NAME) -> None:
        """Remove all that is left of a lab, even if it cannot be loaded. No error if nothing is left."""
        check_name(name)
        leftovers.remove(name)

    @staticmethod
    def sweep() -> list[str]:
        """Remove the labs whose owner has died. Returns their names."""
        return leftovers.sweep()

    def release(self) -> None:
        """Detach the lab from the process that owns it; it stays up until `down`."""
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

    # Change it

    def add_director(self, *, daemon: bool = True) -> LabHost:
        """Start the next director. Without routing, the router sends packets to it only after `announce`.

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
        """Remove a director with all its processes without notice, as by a power failure."""
        host = self._with_role(name, HostRole.DIRECTOR)
        topology.unplug(self.name, host)
        process.kill_all_in(self.namespace(host.name))
        netns.remove(self.namespace(host.name))
        self._change(self._state.without_host(host.name))

    def restart_router(self) -> None:
        """Kill and restart the router's BGP daemon; the kernel continues to forward."""
        if self._state.routing is None:
            raise LabError(
                f"the router of lab {self.name!r} speaks no BGP: `glbctl lab up --routing` starts one that does"
            )
        here = {name: self.process_id(hosts.ROUTER.name, name) for name in router.programs(self._state.routing.router)}
        router.kill(here)
        self._start_router(again=True)

    def add_proxy(self, *, daemon: bool = True) -> LabHost:
        """Start the next proxy. `glbctl backend fill` adds it to the forwarding table.

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
        """Remove a proxy with all its processes without notice, as by a power failure."""
        host = self._with_role(name, HostRole.PROXY)
        topology.unplug(self.name, host)
        process.kill_all_in(self.namespace(host.name))
        netns.remove(self.namespace(host.name))
        self._change(self._state.without_host(host.name))

    def start_director(self, name: str) -> None:
        """Start a director's daemon and wait until it is ready. Raises LabError if that takes too long."""
        self._start_daemons([self._with_role(name, HostRole.DIRECTOR).name])

    def start_proxy(self, name: str) -> None:
        """Start a proxy's daemon and wait until it is ready. Raises LabError if that takes too long."""
        self._start_daemons([self._with_role(name, HostRole.PROXY).name])

    def start_web_server(self, name: str, *, port: int = HTTP_PORT, status: int = 200) -> None:
        """Start a proxy's web server again, and wait until it listens. status: the HTTP status of its answers.

        Raises LabError if it does not listen.
        """
        self._start_web_servers([self._with_role(name, HostRole.PROXY)], port, status)

    def stop(self, host: str, program: str = DAEMON) -> None:
        """End a program by SIGTERM, and wait for it."""
        self._end(host, program, signal.SIGTERM)

    def kill(self, host: str, program: str = DAEMON) -> None:
        """End a program by SIGKILL, without a cleanup."""
        self._end(host, program, signal.SIGKILL)

    def withdraw(self, director: str) -> None:
        """Remove a director from the router's routes."""
        self._with_role(director, HostRole.DIRECTOR)
        self._announce([name for name in self._state.announced if name != director])

    def announce(self, director: str) -> None:
        """Add a director to the router's routes."""
        self._with_role(director, HostRole.DIRECTOR)
        self._announce([*self._state.announced, director])

    def set_sysctl(self, host: str, key: str, value: int | str) -> None:
        """Set e.g. `net.ipv4.tcp_syncookies` on a host."""
        netns.set_sysctls(self.namespace(host), {key: value})

    # Inside

    def _build(self, directors: Sequence[LabHost], proxies: Sequence[LabHost], health_checks: bool) -> None:
        self._change(replace(self._state, hosts=(hosts.CLIENT, hosts.ROUTER, hosts.SWITCH)))
        topology.build_core(self.name)
        for director in directors:
            self._add_director(director)
        if self._state.routing is None:
            self._announce([director.name for director in directors])
        else:
            self._start_router()
        write_all(self.run_dir / "www" / "files")
        self.table_path.write_text(config_files.forwarding_table(proxies, health_checks))
        self._add_proxies(proxies)

    def _add_director(self, director: LabHost) -> None:
        self._change(self._state.with_host(director))
        topology.add_director(self.name, director)
        config = config_files.director(director, self._state.routing)
        director_config_path(self.name, director.name).write_text(config)

    def _start_router(self, *, again: bool = False) -> None:
        assert self._state.routing is not None
        for program, identity in router.start(self.name, self.directors, self._state.routing, again=again).items():
            self._started(hosts.ROUTER.name, program, identity)

    def _add_proxies(self, added: Sequence[LabHost]) -> None:
        for proxy in added:
            self._change(self._state.with_host(proxy))
            topology.add_proxy(self.name, proxy)
            proxy_config_path(self.name, proxy.name).write_text(config_files.proxy(proxy))
        self._start_web_servers(added)

    def _start_web_servers(self, proxies: Sequence[LabHost], port: int = HTTP_PORT, status: int = 200) -> None:
        """Start them all, then wait for each."""
        started = [(proxy, self._start_web_server(proxy, port, status)) for proxy in proxies]
        for proxy, server in started:
            self._started(proxy.name, WEB_SERVER, server.id)
            server.wait_until_listening(port)

    def _start_web_server(self, proxy: LabHost, port: int, status: int) -> LabProgram:
        configuration = self.run_dir / f"{proxy.name}-nginx.conf"
        configuration.write_text(nginx.configuration(proxy.name, self.run_dir, port, status))
        log = log_path(self.name, proxy.name, WEB_SERVER)
        return LabProgram(self.namespace(proxy.name), nginx.argv(configuration), log, self.env)

    def _start_daemons(self, names: Sequence[str]) -> None:
        """Start them all, then wait for each."""
        started = [(name, self._start_daemon(self.host(name))) for name in names]
        for name, daemon in started:
            self._started(name, DAEMON, daemon.id)
            daemon.wait_until_ready()

    def _start_daemon(self, host: LabHost) -> LabDaemon:
        log = log_path(self.name, host.name, DAEMON)
        return LabDaemon(self.namespace(host.name), self._daemon_argv(host), log, self.env)

    def _daemon_argv(self, host: LabHost) -> list[str]:
        if host.role is HostRole.PROXY:
            settings = str(proxy_config_path(self.name, host.name))
            return ["glbctl", "proxy", "run", "--iface", host.name, "--config", settings]
        configuration = str(director_config_path(self.name, host.name))
        run = ["glbctl", "director", "run", "--iface", host.name]
        return [*run, "--config", configuration, "--table", str(self.table_path)]

    def _started(self, host: str, program: str, identity: ProcessId) -> None:
        self._change(self._state.with_running(RunningProgram(host, program, identity)))

    def _end(self, host: str, program: str, how: signal.Signals) -> None:
        process.end(self.process_id(host, program), how)
        self._change(self._state.without_running(host, program))

    def _announce(self, names: Sequence[str]) -> None:
        chosen = [director for director in self.directors if director.name in names]
        topology.announce(self.name, chosen)
        self._change(replace(self._state, announced=tuple(director.name for director in chosen)))

    def _with_role(self, name: str, role: HostRole) -> LabHost:
        host = self.host(name)
        if host.role is not role:
            raise LabError(f"{name} is a {host.role}, not a {role}")
        return host

    def _change(self, changed: LabState) -> None:
        state.save(changed)
        self._state = changed


def _check_counts(directors: int, proxies: int) -> None:
    for what, number, most in (
        ("directors", directors, hosts.MAX_DIRECTORS),
        ("proxies", proxies, hosts.MAX_PROXIES),
    ):
        if not 1 <= number <= most:
            raise LabError(f"{number} {what}: the lab takes 1 to {most}")
