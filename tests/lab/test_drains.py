# SPDX-License-Identifier: MIT
"""Downloads continue without a lost byte while proxies and directors change."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pyroute2 import IPRoute

from glb.lab import Lab
from glb.lab.traffic import Traffic
from tests.lab.helpers.commands import backend, counts
from tests.lab.helpers.kernel import xdp_program
from tests.lab.helpers.packets import wait_for
from tests.lab.helpers.sockets import connections

pytestmark = pytest.mark.alone

IN_FLIGHT = 200
PROXIES = ("proxy1", "proxy2", "proxy3")
EMPTY_WITHIN_S = 90.0
"""A download takes 8 seconds; an unanswered SYN-ACK is repeated for 63."""


@contextmanager
def downloads(lab: Lab) -> Iterator[Traffic]:
    """Keep 200 downloads of mixed length in flight; at the end, all must have been whole."""
    with lab.traffic("download", "--until-stopped", "--in-flight", str(IN_FLIGHT)) as traffic:
        traffic.wait_until(lambda: len(traffic.in_flight) >= IN_FLIGHT // 2)
        yield traffic
        summary = traffic.stop()
    wrong = [finished for finished in traffic.finished if finished.outcome != "ok"]
    assert wrong == []
    assert (summary.failed, summary.cut) == (0, 0)
    assert summary.requests > IN_FLIGHT


def served_by(traffic: Traffic, proxy: str) -> int:
    """How many downloads a proxy is answering just now."""
    return sum(opened.proxy == proxy for opened in traffic.in_flight)


def drain_until_empty(lab: Lab, proxy: str) -> None:
    assert connections(lab, proxy) > 0
    backend(lab, "drain", proxy)
    wait_for(lambda: connections(lab, proxy) == 0, f"{proxy} has no connection left", EMPTY_WITHIN_S)


def put_back(lab: Lab, traffic: Traffic, proxy: str) -> None:
    """Fill a proxy in, and make it a full member once it serves again."""
    backend(lab, "fill", proxy)
    traffic.wait_until(lambda: served_by(traffic, proxy) > 0)
    backend(lab, "activate", proxy)


@pytest.mark.slow
def test_200_downloads_survive_drains_of_each_proxy_in_turn(lab: Lab) -> None:
    with downloads(lab) as traffic:
        for proxy in PROXIES:
            drain_until_empty(lab, proxy)
            backend(lab, "remove", proxy)
            put_back(lab, traffic, proxy)


def plug(lab: Lab, host: str, state: str) -> None:
    """Pull a host's cable out of the datacenter's switch (down), or put it in again (up)."""

    def change() -> None:
        with IPRoute() as ip:
            ip.link("set", index=ip.link_lookup(ifname=host)[0], state=state)

    lab.within("dc", change)


def encapsulated(lab: Lab, director: str) -> int:
    return counts(lab)[director]["encapsulated"]


@pytest.mark.slow
def test_200_downloads_survive_a_directors_death_during_a_drain(lab: Lab) -> None:
    with downloads(lab) as traffic:
        backend(lab, "drain", "proxy1")

        lab.kill("director1")
        plug(lab, "director1", "down")
        lab.withdraw("director1")
        wait_for(lambda: connections(lab, "proxy1") == 0, "proxy1 has no connection left", EMPTY_WITHIN_S)
        backend(lab, "remove", "proxy1", "--force")  # director1, which cannot follow, is cut off the network

        plug(lab, "director1", "up")
        lab.start_director("director1")
        before = encapsulated(lab, "director1")
        lab.announce("director1")
        wait_for(lambda: encapsulated(lab, "director1") > before + 100, "director1 has its share again")
        put_back(lab, traffic, "proxy1")


@pytest.mark.slow
def test_200_downloads_survive_kills_of_each_daemon(lab: Lab) -> None:
    programs = {host.name: xdp_program(lab, host.name) for host in (*lab.directors, *lab.proxies)}
    with downloads(lab) as traffic:
        for name in programs:
            lab.kill(name)
            done = len(traffic.finished)
            traffic.wait_until(lambda done=done: len(traffic.finished) > done + 20)  # type: ignore[misc]
            if lab.host(name).role == "director":
                lab.start_director(name)
            else:
                lab.start_proxy(name)
    assert {name: xdp_program(lab, name) for name in programs} == programs, "each was taken over"
