# SPDX-License-Identifier: MIT
"""Each model of `glbctl simulate` against small cases that were worked out by hand, and what must hold in any."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glb.simulate.balancer import World
from glb.simulate.connections import Connections, count_of, draw, scaled
from glb.simulate.ecmp import LOST, modulo_buckets, next_hops, resilient_buckets
from glb.simulate.maglev import TABLE_SIZE, lookup_table
from glb.simulate.model import Distribution, Ecmp, EventKind, Lifetime, Scenario, ScenarioEvent
from glb.simulate.run import MODELS, RunResult, run_model, simulate
from glb.simulate.timeline import timeline
from glb.table.rows import build_rows

SEED = b"sixteen bytes!!!"
MODEL = {model.name: model for model in MODELS}


def scenario(*events: tuple[float, EventKind, int], **changes: Any) -> Scenario:
    """Two directors, four backends, 100 s, ECMP by modulo."""
    settings = {"directors": 2, "backends": 4, "duration_s": 100.0, "ecmp": (Ecmp.MODULO,)} | changes
    return Scenario(name="test", description="", events=tuple(ScenarioEvent(*event) for event in events), **settings)


def hashed(spread: Sequence[int], begin_s: float = 0.0, end_s: float = 99.0) -> Connections:
    """Connections that all live from and to the same times; row and choice are the spread's number again."""
    count, hashes = len(spread), np.array(spread, np.uint32)
    return Connections(np.full(count, begin_s), np.full(count, end_s), hashes, hashes, hashes)


def run(name: str, story: Scenario, connections: Connections) -> RunResult:
    return run_model(MODEL[name], World(story, timeline(story), connections, story.ecmp[0], SEED))


# The router


def test_modulo_is_the_hash_modulo_the_number_of_next_hops() -> None:
    hops = next_hops(modulo_buckets([7, 3, 5]), np.arange(6, dtype=np.uint32))

    assert hops.tolist() == [3, 5, 7, 3, 5, 7]


@pytest.mark.parametrize("kind", [modulo_buckets, lambda members: resilient_buckets(np.full(8, LOST), members)])
def test_without_a_next_hop_packets_are_lost(kind: Any) -> None:
    assert next_hops(kind([]), np.arange(3, dtype=np.uint32)).tolist() == [LOST] * 3


memberships = st.lists(st.sets(st.integers(0, 9), min_size=1).map(sorted), min_size=2, max_size=5)


@settings(max_examples=50, deadline=None)
@given(memberships=memberships)
def test_resilient_hashing_moves_only_necessary_buckets(
    memberships: list[list[int]],
) -> None:
    buckets = resilient_buckets(np.full(128, LOST, np.int16), memberships[0])
    for before, members in pairwise(memberships):
        after = resilient_buckets(buckets, members)
        kept = np.isin(buckets, members)
        moved = kept & (buckets != after)
        counts = np.bincount(after, minlength=10)[members]

        assert counts.max() - counts.min() <= 1
        assert set(np.unique(after)) == set(members)
        assert set(after[moved]) <= set(members) - set(before)
        buckets = after


# Maglev's table


def table(members: Sequence[int]) -> np.ndarray:
    return lookup_table(members, [number.to_bytes(4, "big") for number in members], SEED)


def test_maglev_entries_differ_by_at_most_one() -> None:
    counts = np.bincount(table(range(10)), minlength=10)

    assert counts.sum() == TABLE_SIZE
    assert counts.max() - counts.min() <= 1


def test_maglev_removal_changes_few_other_entries() -> None:
    before, after = table(range(10)), table([member for member in range(10) if member != 4])

    assert 4 not in after
    assert 0 < np.count_nonzero((before != 4) & (before != after)) / TABLE_SIZE < 0.05


def test_maglev_table_without_members_is_empty() -> None:
    assert (table([]) == LOST).all()


# What becomes of connections


def test_plain_ecmp_keeps_three_of_twelve_in_a_drain() -> None:
    story = scenario((50, EventKind.BACKEND_DRAIN, 4))

    outcome = run("plain ECMP", story, hashed(range(12)))

    assert (outcome.connections, outcome.cut, outcome.moved) == (12, 9, 9)  # h % 4 = h % 3 for 0, 1 and 2


def test_plain_ecmp_does_not_mind_directors() -> None:
    story = scenario((50, EventKind.DIRECTOR_LOSS, 1))

    assert run("plain ECMP", story, hashed(range(12))).cut == 0


def test_lvs_cuts_what_comes_to_another_director() -> None:
    story = scenario((50, EventKind.DIRECTOR_ADD, 3))

    outcome = run("LVS", story, hashed(range(6)))

    assert (outcome.connections, outcome.cut) == (6, 4)  # h % 2 = h % 3 for 0 and 1


def test_lvs_with_sync_cuts_unsynchronized_connections() -> None:
    story = scenario((50, EventKind.DIRECTOR_STOP, 1), sync_delay_s=2.0)

    assert run("LVS with sync", story, hashed(range(10), begin_s=47.0)).cut == 0
    assert run("LVS with sync", story, hashed(range(10), begin_s=49.0)).cut == 5


def test_lvs_sync_ends_with_the_death_of_a_director() -> None:
    story = scenario((50, EventKind.DIRECTOR_LOSS, 1), sync_delay_s=2.0, director_notice_s=5.0)

    outcome = run("LVS with sync", story, hashed(range(10), begin_s=49.0))

    assert (outcome.cut, outcome.stalled) == (5, 5)


def test_maglev_keeps_connections_when_a_director_dies() -> None:
    story = scenario((50, EventKind.DIRECTOR_LOSS, 1))

    outcome = run("Maglev", story, hashed(range(200)))

    assert (outcome.cut, outcome.moved, outcome.stalled) == (0, 100, 100)


def test_maglev_keeps_tracked_connections_in_a_drain() -> None:
    drains, connections = (20, EventKind.BACKEND_DRAIN, 1), hashed(range(400))
    homes = lookup_table(range(4), [bytes((10, 0, 0, 1 + n)) for n in range(4)], SEED)[:400]

    assert run("Maglev", scenario(drains), connections).cut == 0
    cut = run("Maglev", scenario(drains, (50, EventKind.DIRECTOR_LOSS, 1)), connections).cut
    assert cut >= np.count_nonzero(homes[::2] == 0) > 0  # the even ones came to the first director
    assert cut <= np.count_nonzero(homes[::2] == 0) + 20  # and few others change with the table


def test_returning_director_has_an_empty_connection_table() -> None:
    away, drains = ((20, EventKind.DIRECTOR_STOP, 1), (40, EventKind.DIRECTOR_ADD, 1)), (30, EventKind.BACKEND_DRAIN, 1)
    homes = lookup_table(range(4), [bytes((10, 0, 0, 1 + n)) for n in range(4)], SEED)[:400]

    assert run("Maglev", scenario(*away), hashed(range(400))).cut == 0
    cut = run("Maglev", scenario(away[0], drains, away[1]), hashed(range(400))).cut
    assert cut >= np.count_nonzero(homes[::2] == 0) > 0  # the even ones come back to the first director


def test_glb_cuts_only_connections_of_a_removed_backend() -> None:
    story = scenario((50, EventKind.BACKEND_REMOVE, 2))
    first_hops = build_rows(timeline(story).tables[0], SEED, story.depth)[:1000, 0]

    outcome = run("glb", story, hashed(range(1000)))

    assert outcome.cut == np.count_nonzero(first_hops == 1) > 0


def test_failed_backend_loses_only_its_connections() -> None:
    story = scenario((50, EventKind.BACKEND_FAIL, 2))

    for name in ("LVS", "Maglev", "glb"):
        outcome = run(name, story, hashed(range(1000)))
        assert outcome.cut == 0
        assert 150 < outcome.died < 350


def test_client_gives_up_if_the_router_reacts_too_late() -> None:
    soon = scenario((50, EventKind.DIRECTOR_LOSS, 1), director_notice_s=14.0, patience_s=15.0)
    late = scenario((50, EventKind.DIRECTOR_LOSS, 1), director_notice_s=16.0, patience_s=15.0)

    assert run("glb", soon, hashed(range(10))).cut == 0
    assert run("glb", late, hashed(range(10))).cut == 5


def test_a_late_director_cuts_what_a_new_backend_has_taken() -> None:
    events = ((20, EventKind.BACKEND_FILL, 5), (22, EventKind.DIRECTOR_STOP, 1))
    in_between = hashed(range(2000), begin_s=21.0)

    assert run("glb", scenario(*events), in_between).cut == 0
    assert run("glb", scenario(*events, late=((2, 5.0),)), in_between).cut > 0


moves = st.sampled_from([EventKind.DIRECTOR_LOSS, EventKind.DIRECTOR_STOP])


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000), backend=st.integers(1, 12), director=st.integers(1, 4), move=moves, late=st.booleans()
)
def test_glb_cuts_nothing_with_a_drain_and_new_directors(
    seed: int, backend: int, director: int, move: EventKind, late: bool
) -> None:
    story = scenario(
        (20, EventKind.BACKEND_DRAIN, backend),
        (22, move, director),
        (40, EventKind.DIRECTOR_ADD, director),
        (45, EventKind.BACKEND_ACTIVATE, backend),
        directors=4,
        backends=12,
        arrivals_per_s=30.0,
        late=((1 + director % 4, 7.0),) if late else (),
    )

    connections = draw(story, np.random.default_rng(seed))
    for kind in Ecmp:
        outcome = run_model(MODEL["glb"], World(story, timeline(story), connections, kind, SEED))
        assert (outcome.cut, outcome.died) == (0, 0)
        assert outcome.moved > 0


# The connections


def test_result_depends_on_the_seed() -> None:
    story = scenario((50, EventKind.DIRECTOR_LOSS, 1))

    assert simulate(story, 1) == simulate(story, 1) != simulate(story, 2)


@pytest.mark.parametrize("distribution", Distribution)
def test_lifetimes_have_the_given_mean(distribution: Distribution) -> None:
    story = scenario(lifetime=Lifetime(distribution, 20.0, shape=3.0))

    drawn = draw(story, np.random.default_rng(1))

    assert len(drawn) == count_of(story) == 200_000
    assert np.mean(drawn.end_s - drawn.begin_s) == pytest.approx(20.0, rel=0.03)


def test_scaled_scenario_has_the_given_connections() -> None:
    assert count_of(scaled(scenario(), 12_345)) == 12_345
