# SPDX-License-Identifier: MIT
"""FRR on the router, with BFD: it detects a death as fast after FRR was killed and started again."""

import json
from collections.abc import Iterator

import pytest

from glb.lab import Lab
from glb.lab.routing import LabRouter, LabRouting
from tests.conftest import unique_name
from tests.lab.helpers.packets import wait_for
from tests.lab.helpers.routing import BOTH, nothing_cut

NEVER_S = 600
"""A hold time longer than any test: only BFD can detect a death."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    how = LabRouting(router=LabRouter.FRR, hold_time=NEVER_S)
    with Lab.up(unique_name(), owned=True, proxies=1, routing=how, health_checks=False) as lab:
        yield lab


def test_bfd_detects_a_dead_director_after_a_restart_of_frr(lab: Lab) -> None:
    with lab.live_connections(20) as live, nothing_cut(live):
        lab.restart_router()
        wait_for(lambda: bfd(lab) == ["up"] * 4, "BFD watches both families of both directors", 60)
        assert lab.announced() == BOTH

        lab.remove_director("director2")
        lab.wait_until_announced({"director1"})


def bfd(lab: Lab) -> list[str]:
    """The states of the router's BFD sessions."""
    command = ["vtysh", "--vty_socket", str(lab.run_dir / "frr"), "-c", "show bfd peers json"]
    return [peer["status"] for peer in json.loads(lab.run("router", command).stdout or "[]")]
