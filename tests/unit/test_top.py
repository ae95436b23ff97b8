# SPDX-License-Identifier: MIT
"""What `glbctl top` shows of traffic."""

import io
from dataclasses import replace
from ipaddress import IPv4Address

from rich.console import Console

from glb.ctl import top
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, TableSummary
from glb.metrics.rates import rates
from glb.metrics.sample import Sample

BACKENDS = {"10.0.0.1": "active", "10.0.0.2": "draining", "10.0.0.3": "active"}
DIRECTOR = Sample(
    Report(
        role="director",
        interface="eth0",
        process=ProcessId.own(),
        started="",
        tables=(TableSummary("web", ("203.0.113.10:80/tcp",), BACKENDS, 3),),
    ),
    attached=True,
    packets={"encapsulated": 0},
    traffic={("backend", "web", address): (0, 0) for address in BACKENDS},
)
PROXY = Sample(replace(DIRECTOR.report, role="proxy", interface="eth1", tables=()), attached=True)


def shown() -> list[str]:
    """After a second with 800 packets to the first backend and 100 to the last, and 30 second chances."""
    later = replace(
        DIRECTOR,
        packets={"encapsulated": 900},
        traffic={("backend", "web", ip): (sent, 1000) for ip, sent in zip(BACKENDS, (800, 0, 100), strict=True)},
    )
    now = [later, replace(PROXY, forwards={IPv4Address("10.0.0.2"): 30})]
    found, history = rates([DIRECTOR, PROXY], now, 1), top._History()
    history.add(found)
    console = Console(file=io.StringIO(), width=120)
    console.print(top._view(now, found, history))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def row(of: str) -> list[str]:
    return next(line.split() for line in shown() if of in line)


def test_a_draining_backend_is_not_shown_as_idle() -> None:
    assert row("10.0.0.2  draining")[3:7] == ["-", "-", "2nd", "chance"]
    assert row("10.0.0.3")[3] == "100"


def test_what_this_hosts_proxies_send_on_is_shown_by_hop() -> None:
    lines = shown()
    heading = next(number for number, line in enumerate(lines) if line.startswith("second chance to"))

    assert lines[heading + 1].split()[:2] == ["10.0.0.2", "30"]


def test_the_lines_of_a_column_have_one_scale() -> None:
    assert (row("10.0.0.1")[-1], row("10.0.0.3")[-1]) == ("█", "▂")
