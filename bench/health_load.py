# SPDX-License-Identifier: MIT
"""What health checks of many backends cost a director's daemon: CPU, memory, and whether it keeps up.

python -m bench.health_load   as root, in a lab of its own. Not part of script/bench: it takes minutes.

One host answers for all backends: its kernel takes their whole network for its own.
"""

import argparse
import json
import signal
import socket
import time
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.rtnl import rt_scope, rt_type

from bench.process import cpu_seconds, resident_mb
from glb.control.client import Client
from glb.errors import ControlError
from glb.lab import Lab, hosts
from glb.lab.process import LabProgram, end

_TABLES, _BACKENDS = 50, 256
_NETWORK = IPv4Network("10.128.0.0/16")
_DIRECTOR, _HOST = "director1", "proxy1"
_SETTLE_SECONDS, _SECONDS = 15.0, 20.0
_START_BOUND_SECONDS = 600.0
_LOCAL_TABLE = 255


@dataclass(frozen=True, slots=True)
class Case:
    """What is checked, how often, and whether all tables have the same backends."""

    name: str
    shared: bool
    checks: dict[str, Any]
    interval_ms: int = 400


_CASES = (
    Case("nothing", True, {}),
    Case("the same 256 backends in each table, http each 400 ms", True, {"http": 80}),
    Case("12,800 backends, http each 10 s", False, {"http": 80}, 10_000),
)


def _source(case: Case) -> str:
    tables = [_table(number, case) for number in range(_TABLES)]
    policy = {"interval_ms": case.interval_ms, "timeout_ms": 1000, "slow_interval_ms": 30_000}
    return json.dumps({"tables": tables, "healthchecks": policy})


def _table(number: int, case: Case) -> dict[str, Any]:
    first = 1 if case.shared else 1 + number * _BACKENDS
    return {
        "name": f"t{number}",
        "hash_key": "00" * 16,
        "seed": "11" * 16,
        "binds": [{"ip": str(hosts.VIP4), "proto": "tcp", "port": 1000 + number}],
        "backends": [
            {"ip": str(_NETWORK[first + n]), "state": "active", "healthy": True, "healthchecks": case.checks}
            for n in range(_BACKENDS)
        ],
    }


def _answer_for_all(lab: Lab) -> None:
    """Have one host answer for all backends' addresses, and the director resolve its next hop."""
    host = lab.host(_HOST).ipv4
    assert host is not None

    def take() -> None:
        with IPRoute() as netlink:
            loopback = netlink.link_lookup(ifname="lo")[0]
            netlink.route(
                "add",
                dst=str(_NETWORK),
                type=rt_type["local"],
                scope=rt_scope["host"],
                oif=loopback,
                table=_LOCAL_TABLE,
                family=socket.AF_INET,
            )

    def send() -> None:
        with IPRoute() as netlink:
            netlink.route("add", dst=str(_NETWORK), gateway=str(host.ip))

    lab.within(_HOST, take)
    lab.within(_DIRECTOR, send)


def _measure(lab: Lab, case: Case) -> str:
    """A line of the table."""
    lab.table_path.write_text(_source(case))
    api = Client(lab.run_dir / f"{_DIRECTOR}.sock")
    begun = time.monotonic()
    daemon = LabProgram(lab.namespace(_DIRECTOR), _command(lab), lab.run_dir / "daemon.log", lab.env)
    _wait_until_it_answers(api)
    started = time.monotonic() - begun
    pid = daemon.id.pid
    time.sleep(_SETTLE_SECONDS)
    used, at = cpu_seconds(pid), time.monotonic()
    time.sleep(_SECONDS)
    share = (cpu_seconds(pid) - used) / (time.monotonic() - at)
    memory = resident_mb(pid)
    reports = [api.get("/v1/health") for _ in range(5)]
    end(daemon.id, signal.SIGTERM)
    checks, late = reports[0]["checks"], max(report["late"] for report in reports)
    rate = checks / case.interval_ms * 1000
    up = sum(backend["healthy"] for backend in reports[-1]["backends"])
    return (
        f"| {case.name} | {checks:,} | {rate:,.0f} | {100 * share:.0f} % | {memory:,.0f} MB "
        f"| {started:.1f} s | {1e3 * late:.0f} ms | {up:,} |"
    )


def _command(lab: Lab) -> list[str]:
    files = ["--config", str(lab.run_dir / f"{_DIRECTOR}.conf"), "--table", str(lab.table_path)]
    return ["glbctl", "director", "run", "--iface", _DIRECTOR, *files]


def _wait_until_it_answers(api: Client) -> None:
    """Rows of 12,800 backends take a minute or more to build."""
    deadline = time.monotonic() + _START_BOUND_SECONDS
    while True:
        try:
            api.get("/v1/status")
        except ControlError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.health_load", description=__doc__)
    parser.add_argument("--lab", default="healthload", help="the lab's name (healthload)")
    chosen = parser.parse_args()
    print("| what is checked | checks | a second | CPU | memory | start | late | up |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with Lab.up(chosen.lab, owned=True, directors=1, proxies=1, daemons=False) as lab:
        _answer_for_all(lab)
        configuration = {"outbound_src_ip": str(lab.host(_DIRECTOR).addresses[0].ip)}
        configuration["outbound_gateway_mac"] = hosts.mac(lab.host(_HOST))
        (lab.run_dir / f"{_DIRECTOR}.conf").write_text(json.dumps(configuration))
        for case in _CASES:
            print(_measure(lab, case), flush=True)


if __name__ == "__main__":
    main()
