# SPDX-License-Identifier: MIT
"""A proxy under traffic, while its network fails. Each fault and its name: docs/faults.md."""

from glb.daemon.report import Report, read_report
from glb.lab import Lab
from tests.lab.helpers.cables import plug_in_again, unplug
from tests.lab.helpers.commands import facts
from tests.lab.helpers.packets import wait_for

PROXY = "proxy1"
_BOUND_S = 60.0


def report(lab: Lab) -> Report:
    return read_report(lab.run_dir / f"{PROXY}.status.json")


def healths(lab: Lab) -> list[bool]:
    """Whether each director gives new connections to the proxy."""
    address = str(lab.host(PROXY).addresses[0].ip)
    daemons = facts(lab, "director1", "backend", "list")
    backends = [backend for daemon in daemons for backend in daemon["backends"]]
    return [backend["healthy"] for backend in backends if backend["address"] == address]


def answering(lab: Lab, first_client: int) -> set[str]:
    """The proxies that answer 60 new connections, all of which must be answered."""
    with lab.traffic("spread", "--count", "60", "--first", str(first_client)) as traffic:
        summary = traffic.wait()
    assert (summary.failed, summary.cut) == (0, 0)
    return {finished.proxy for finished in traffic.finished}


def test_an_interface_that_returns_with_another_mac_is_served(lab: Lab) -> None:
    unplug(lab, PROXY)
    wait_for(lambda: f"no interface {PROXY} here" in (report(lab).trouble or ""), "the proxy's report", _BOUND_S)
    wait_for(lambda: not any(healths(lab)), "the directors' checks", _BOUND_S)
    assert answering(lab, 1000) == {"proxy2", "proxy3"}

    plug_in_again(lab, PROXY)

    wait_for(lambda: report(lab).trouble is None, "the proxy's report", _BOUND_S)
    assert f"{PROXY}: attached again: the interface exists again" in lab.log(PROXY)
    wait_for(lambda: all(healths(lab)), "the directors' checks", _BOUND_S)
    assert answering(lab, 2000) == {"proxy1", "proxy2", "proxy3"}
