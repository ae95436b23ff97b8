# SPDX-License-Identifier: MIT
"""What `glbctl simulate` says of glb, against real connections: director1 has a table file of its own, and is late."""

import shutil
from collections.abc import Iterator

import numpy as np
import pytest

from glb.config.edit import Action
from glb.config.json_files import edit_file
from glb.lab import Lab
from glb.simulate.balancer import World
from glb.simulate.connections import Connections
from glb.simulate.model import Ecmp, EventKind, Scenario, ScenarioEvent
from glb.simulate.run import MODELS, run_model
from glb.simulate.timeline import timeline
from tests.conftest import unique_name
from tests.lab.helpers.commands import backend, counts
from tests.lab.helpers.director import Director
from tests.lab.helpers.packets import wait_for

pytestmark = pytest.mark.alone

CONNECTIONS = 300
TOLERANCE = 0.12
"""Of shares of 300 connections: more than four standard deviations."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(unique_name(), owned=True) as lab:
        yield lab


@pytest.fixture(scope="module")
def late(lab: Lab) -> Iterator[Director]:
    lab.stop("director1")
    director = Director(lab, lab.run_dir / "late.json")
    shutil.copy(lab.table_path, director.table)
    director.start()
    yield director
    director.stop()


def simulated(backends: int, *events: tuple[float, EventKind, int], late_s: float = 0.0) -> float:
    """The share that glb cuts, with two directors, of connections that are opened at 15 s and stay."""
    many = 50_000
    story = Scenario(
        name="lab",
        description="",
        duration_s=100,
        events=tuple(ScenarioEvent(*event) for event in events),
        directors=2,
        backends=backends,
        ecmp=(Ecmp.MODULO,),
        late=((1, late_s),) if late_s else (),
    )
    random = np.random.default_rng(1)
    spread, choice, row = (random.integers(0, 65536, many, np.uint32) for _ in range(3))
    connections = Connections(np.full(many, 15.0), np.full(many, 99.0), spread, row, choice)
    glb = next(model for model in MODELS if model.name == "glb")
    outcome = run_model(glb, World(story, timeline(story), connections, Ecmp.MODULO, b"any sixteen byte"))
    return outcome.cut / many


def let_all_come_to_director1(lab: Lab) -> None:
    before = counts(lab)["director1"]["encapsulated"]
    lab.withdraw("director2")
    wait_for(lambda: counts(lab)["director1"]["encapsulated"] > before + CONNECTIONS, "director1 has them all")


def address(lab: Lab, proxy: str) -> str:
    return str(lab.host(proxy).addresses[0].ip)


def test_drain_with_a_late_director_cuts_nothing(lab: Lab, late: Director) -> None:
    story = (20, EventKind.BACKEND_DRAIN, 1), (22, EventKind.DIRECTOR_STOP, 2), (30, EventKind.DIRECTOR_ADD, 2)
    assert simulated(3, *story, late_s=5.0) == 0

    with lab.live_connections(CONNECTIONS) as live, live.during() as seen:
        backend(lab, "drain", "proxy1")
        let_all_come_to_director1(lab)
        shutil.copy(lab.table_path, late.table)
        late.wait_until_loaded()
        lab.announce("director2")

    assert seen.cut == ()


def test_removal_without_drain_cuts_the_simulated_share(lab: Lab, late: Director) -> None:
    expected = simulated(3, (20, EventKind.BACKEND_REMOVE, 1))
    assert expected == pytest.approx(1 / 3, abs=0.01)
    backend(lab, "activate", "proxy1")
    shutil.copy(lab.table_path, late.table)
    late.wait_until_loaded()

    with lab.live_connections(CONNECTIONS) as live, live.during() as seen:
        edit_file(lab.table_path, Action.REMOVE, address(lab, "proxy1"), force=True)
        shutil.copy(lab.table_path, late.table)
        late.wait_until_loaded()
        backend(lab, "activate", "proxy2")  # changes nothing, and returns when director2 has the file

    assert len(seen.cut) / CONNECTIONS == pytest.approx(expected, abs=TOLERANCE)


def test_late_director_cuts_the_simulated_share_of_a_fill(lab: Lab, late: Director) -> None:
    expected = simulated(2, (10, EventKind.BACKEND_FILL, 3), (20, EventKind.DIRECTOR_STOP, 2), late_s=30.0)
    assert expected == pytest.approx(1 / 6, abs=0.01)
    edit_file(lab.table_path, Action.FILL, address(lab, "proxy1"))
    backend(lab, "activate", "proxy1")

    with lab.live_connections(CONNECTIONS) as live, live.during() as seen:
        let_all_come_to_director1(lab)

    assert len(seen.cut) / CONNECTIONS == pytest.approx(expected, abs=TOLERANCE)
