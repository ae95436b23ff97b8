# SPDX-License-Identifier: MIT
"""New TCP connections a second, and the CPU time of each, through glb and through load balancers that end connections.

All of them lead from the same client to the same nginx, over the same bridge.
"""

import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from bench import balancers
from bench.load import Load, load
from bench.progress import Progress
from bench.samples import in_rounds, ratio, spread
from glb.lab import hosts
from glb.lab.lab import Lab
from glb.lab.paths import log_path
from glb.lab.process import LabProgram

DIRECT = "no load balancer"
GLB = "glb"
STREAM = "nginx stream"
HAPROXY = "HAProxy, TCP mode"

_BALANCER_HOST = "director2"
_WIDE_PORTS: dict[str, int | str] = {"net.ipv4.ip_local_port_range": "1024 65535", "net.ipv4.tcp_tw_reuse": 1}


def run(rounds: int, seconds: int, progress: Progress) -> dict[str, Any]:
    """Measure in a lab of its own, which is gone afterwards."""
    progress("network: connections a second")
    with _lab() as lab:
        command = partial(lab.run, hosts.CLIENT.name)
        urls = _urls(lab)
        for url in urls.values():
            load(command, url, 1)
        loads: dict[str, list[Load]] = {name: [] for name in urls}

        def measure(name: str) -> float:
            loads[name].append(load(command, urls[name], seconds))
            return loads[name][-1].rate

        in_rounds({name: partial(measure, name) for name in urls}, rounds)
    return _result(loads)


def _result(loads: dict[str, list[Load]]) -> dict[str, Any]:
    rates = {name: [one.rate for one in taken] for name, taken in loads.items()}
    cpu = {name: [one.cpu_microseconds for one in taken] for name, taken in loads.items()}
    floor = statistics.median(cpu[DIRECT])
    return {
        "connections_a_second": {name: spread(values).as_dict() for name, values in rates.items()},
        "cpu_us_a_connection": {name: spread(values).as_dict() for name, values in cpu.items()},
        "cpu_us_added": {name: round(statistics.median(cpu[name]) - floor, 1) for name in (GLB, STREAM, HAPROXY)},
        "glb_rate_times": {name: round(ratio(rates[GLB], rates[name]), 2) for name in (STREAM, HAPROXY, DIRECT)},
        "glb_cpu_times": {name: round(ratio(cpu[GLB], cpu[name]), 2) for name in (STREAM, HAPROXY, DIRECT)},
    }


def _urls(lab: Lab) -> dict[str, str]:
    balancer, server = (_address(lab.host(name)) for name in (_BALANCER_HOST, lab.proxies[0].name))
    return {
        DIRECT: f"http://{server}:{hosts.HTTP_PORT}/",
        GLB: f"http://{hosts.VIP4}:{hosts.HTTP_PORT}/",
        STREAM: f"http://{balancer}:{balancers.STREAM_PORT}/",
        HAPROXY: f"http://{balancer}:{balancers.HAPROXY_PORT}/",
    }


@contextmanager
def _lab() -> Iterator[Lab]:
    """A director and a proxy of glb's, and on a second director's place the other load balancers."""
    with Lab.up(f"bench-{os.getpid()}", directors=2, proxies=1, daemons=False, owned=True) as lab:
        lab.withdraw(_BALANCER_HOST)
        proxy = lab.proxies[0]
        lab.start_proxy(proxy.name)
        lab.start_director("director1")
        for host in (hosts.CLIENT.name, _BALANCER_HOST):
            for key, value in _WIDE_PORTS.items():
                lab.set_sysctl(host, key, value)
        _start(lab, "stream", balancers.stream_argv(lab.run_dir, proxy), balancers.STREAM_PORT)
        _start(lab, "haproxy", balancers.haproxy_argv(lab.run_dir, proxy), balancers.HAPROXY_PORT)
        yield lab


def _start(lab: Lab, name: str, argv: list[str], port: int) -> None:
    """Taken down with the lab."""
    program = LabProgram(lab.namespace(_BALANCER_HOST), argv, log_path(lab.name, _BALANCER_HOST, name), lab.env)
    program.wait_until_listening(port)


def _address(host: hosts.LabHost) -> str:
    assert host.ipv4 is not None
    return str(host.ipv4.ip)
