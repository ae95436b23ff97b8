# SPDX-License-Identifier: MIT
"""The same of ExaBGP as the directors' speaker, with FRR on the router and no BFD: sessions end by their hold time."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from glb.daemon.process import ProcessId
from glb.lab import Lab, netns
from glb.lab.live_connections import LiveConnections
from glb.lab.routing import LabRouter, LabRouting, LabSpeaker
from tests.conftest import unique_name
from tests.lab.helpers.commands import counts, facts
from tests.lab.helpers.packets import wait_for
from tests.lab.helpers.routing import BOTH, nothing_cut, routing_of, wait_for_sessions

CONNECTIONS = 50


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    how = LabRouting(LabSpeaker.EXABGP, LabRouter.FRR, bfd=False, hold_time=5)  # of 3, a busy machine may miss a beat
    with Lab.up(unique_name(), owned=True, proxies=2, routing=how) as lab:
        yield lab


@pytest.fixture(scope="module")
def live(lab: Lab) -> Iterator[LiveConnections]:
    with lab.live_connections(CONNECTIONS) as live:
        yield live


def test_exabgp_announces_to_frr_in_both_families(lab: Lab) -> None:
    assert lab.announced() == BOTH
    command = "show bgp ipv6 unicast 2001:db8:f::10/128"
    learned = lab.run("router", ["vtysh", "--vty_socket", str(lab.run_dir / "frr"), "-c", command]).stdout
    assert learned.count("Community: 65001:100") == 2


def test_exabgp_survives_the_daemon_and_is_adopted(lab: Lab, live: LiveConnections) -> None:
    with nothing_cut(live):
        lab.kill("director1")
        before = counts(lab)["director1"]["encapsulated"]
        wait_for(lambda: counts(lab)["director1"]["encapsulated"] > before + 50, "its datapath forwards")
        lab.start_director("director1")
        wait_for_sessions(lab, "director1")
        assert lab.announced() == BOTH
    assert "routing: exabgp adopted" in lab.log("director1")


def test_an_exabgp_without_its_agent_is_begun_anew(lab: Lab, live: LiveConnections) -> None:
    """An agent of its own making would not know what to withdraw."""
    control = lab.run_dir / "director1.exabgp.ctl"
    (agent,) = [pid for pid in netns.processes_in(lab.namespace("director1")) if has_argument(pid, str(control))]
    before = ProcessId.of(int((lab.run_dir / "director1.exabgp.pid").read_text()))
    with nothing_cut(live):
        os.kill(agent, signal.SIGKILL)
        wait_for(lambda: lab.log("director1").count("routing: exabgp started") == 2, "another ExaBGP", 60)
        wait_for_sessions(lab, "director1")
        lab.wait_until_announced(BOTH)
    assert not before.is_alive()


def has_argument(pid: int, argument: str) -> bool:
    try:
        return argument.encode() in Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def test_a_director_on_exabgp_is_drained_and_stopped(lab: Lab, live: LiveConnections) -> None:
    with nothing_cut(live):
        assert facts(lab, "director2", "director", "drain", "--iface", "director2")["quiet"]
        assert lab.announced() == {"director1"}
        lab.stop("director2")
        lab.start_director("director2")
        lab.wait_until_announced(BOTH)
    assert routing_of(lab, "director2")["speaker"] == "exabgp"


def test_the_hold_time_detects_the_death_of_a_machine(lab: Lab, live: LiveConnections) -> None:
    with nothing_cut(live):
        lab.remove_director("director2")
        lab.wait_until_announced({"director1"})
