# SPDX-License-Identifier: MIT
"""The director in the kernel equals its model."""

import os
import random
import time

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from .cases import Case
from .configurations import random_director
from .director_cases import CASES, SETUPS, model
from .generate import aim_at, batch
from .harness import Comparison, DirectorsOfAllSizes, director_comparison
from .places import LEAST_FRAME

# A seed generates a batch of packets; a smaller one is not simpler.
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
SEEDS = st.integers(min_value=0, max_value=2**64 - 1)
MTU = 9000


@pytest.fixture(scope="module", params=list(SETUPS))
def setup(request: pytest.FixtureRequest, directors: DirectorsOfAllSizes) -> tuple[str, Comparison]:
    return request.param, director_comparison(directors, model(request.param))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_the_model_gives_each_named_packet_its_verdict(case: Case) -> None:
    assert model(case.setup).run(bytes(case.frame)).verdict == case.verdict, case.proves


def test_kernel_and_model_agree_on_each_named_packet(setup: tuple[str, Comparison]) -> None:
    name, comparison = setup
    for case in (case for case in CASES if case.setup == name):
        result, outcome = comparison.run(bytes(case.frame))
        assert dict(outcome.counted) == {case.verdict: 1}, f"{case.name}: {case.proves}"
        comparison.check(bytes(case.frame))
        assert result.verdict == case.verdict, f"{case.name}: {case.proves}"


def test_kernel_and_model_agree_on_every_truncation(
    setup: tuple[str, Comparison],
) -> None:
    name, comparison = setup
    for case in (case for case in CASES if case.setup == name):
        whole = bytes(case.frame)
        for length in range(LEAST_FRAME, len(whole)):
            comparison.check(whole[:length])


def test_at_most_100_errors_a_second_per_cpu(directors: DirectorsOfAllSizes) -> None:
    """The model would answer every one; check() lets the kernel drop some, and a second may start at any of them."""
    comparison = director_comparison(directors, model("mtu"))
    too_big = next(bytes(case.frame) for case in CASES if case.name == "v4-too-big")
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        start = time.monotonic()
        answered = [comparison.check(too_big).verdict for _ in range(2000)].count("answered_too_big")
        seconds = time.monotonic() - start
    finally:
        os.sched_setaffinity(0, cpus)
    assert 0 < answered <= 100 * (int(seconds) + 2)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, phases=WITHOUT_SHRINKING)
@given(seed=SEEDS)
def test_kernel_and_model_agree_on_100000_random_packets(directors: DirectorsOfAllSizes, seed: int) -> None:
    rng = random.Random(seed)
    chosen = model(rng.choice(list(SETUPS)))
    comparison = director_comparison(directors, chosen)
    for frame in batch(seed, aim_at(chosen.tables, chosen.mac, chosen.way_mtu, rng), 250):
        comparison.check(frame)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, phases=WITHOUT_SHRINKING)
@given(seed=SEEDS)
def test_kernel_and_model_agree_on_random_configurations(directors: DirectorsOfAllSizes, seed: int) -> None:
    rng = random.Random(seed)
    chosen = random_director(rng)
    comparison = director_comparison(directors, chosen)
    for frame in batch(seed, aim_at(chosen.tables, chosen.mac, chosen.way_mtu, rng), 100):
        comparison.check(frame)
