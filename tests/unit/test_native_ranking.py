# SPDX-License-Identifier: MIT
"""The C library's ranking against numpy's and against plain Python: the same rows, whatever the table is."""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glb.hashing import rendezvous
from glb.hashing.ranking import Ranking
from glb.hashing.rendezvous import NO_KEY, NO_NUMBER, Candidate
from glb.native import library, ranker
from glb.native.ranker import NativeRanker

SEED = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
FEW_ROWS = np.arange(0, 65536, 997)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> NativeRanker:
    return NativeRanker(library.build(tmp_path_factory.mktemp("library")))


addresses = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
weight = st.one_of(st.sampled_from([0.0, 5e-324, 1.0, 1.0, 2.0, 1000.0]), st.floats(1e-3, 1e3))


@st.composite
def tables(draw: st.DrawFn) -> dict[int, Candidate]:
    chosen = draw(st.lists(addresses, unique=True, max_size=40))
    numbers = draw(st.lists(st.integers(0, NO_NUMBER - 1), unique=True, min_size=len(chosen), max_size=len(chosen)))
    return {number: Candidate(address, draw(weight)) for number, address in zip(numbers, chosen, strict=True)}


@settings(deadline=None, max_examples=60)
@given(numbered=tables(), seed=st.binary(min_size=16, max_size=16), best=st.integers(1, 45), weighted=st.booleans())
def test_random_tables_give_the_keys_of_numpy(
    built: NativeRanker, numbered: dict[int, Candidate], seed: bytes, best: int, weighted: bool
) -> None:
    require_same(built, numbered, seed, weighted, best)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("first", ["10.0.0.1", "2001:db8::1"])
@pytest.mark.parametrize("count", [511, 512, 513, 3000])
def test_large_tables_give_the_keys_of_numpy(built: NativeRanker, count: int, first: str, weighted: bool) -> None:
    numbered = {i: Candidate((ip_address(first) + i).packed, 1.0 + i % 7) for i in range(count)}

    require_same(built, numbered, SEED, weighted, 8)


def require_same(
    built: NativeRanker, numbered: Mapping[int, Candidate], seed: bytes, weighted: bool, best: int
) -> None:
    """The same keys; weighted, the same order, and scores within the error that both may have."""
    row_seeds = rendezvous.row_seeds(seed, FEW_ROWS)

    found = rendezvous.lowest_keys(row_seeds, numbered, seed, weighted, best, built)

    expected = rendezvous.lowest_keys(row_seeds, numbered, seed, weighted, best)
    if not weighted:
        assert (found == expected).all()
        return
    settled = [rendezvous.settle(keys, FEW_ROWS, numbered, seed, weighted) for keys in (found, expected)]
    assert (settled[0][:-1] == settled[1][:-1]).all()
    assert ((found == NO_KEY) == (expected == NO_KEY)).all()
    upper = [np.sort(keys >> rendezvous.NUMBER_BITS, axis=0) for keys in (found, expected)]
    assert (np.maximum(*upper) - np.minimum(*upper) <= 1).all()


@pytest.mark.parametrize("weights", [1, 5], ids=["equal", "weighted"])
def test_a_change_ranks_alike_by_the_library_and_by_numpy(built: NativeRanker, weights: int) -> None:
    before = [Candidate((ip_address("10.0.0.1") + i).packed, 1.0 + i % weights) for i in range(30)]
    new = [Candidate((ip_address("2001:db8::1") + i).packed, 2.0 if weights > 1 else 1.0) for i in range(2)]
    after = [*before[2:17], *before[19:], *new]

    native, numpy = (Ranking.of(before, SEED, 3, 4, chosen).changed(after).order() for chosen in (built, None))

    assert (native.numbers == numpy.numbers).all()


def test_scores_with_equal_keys_are_settled_exactly(built: NativeRanker, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer bits of a score in its key, many rows are near, and each is ranked anew by plain Python."""
    numbered = {i: Candidate((ip_address("10.0.0.1") + i).packed) for i in range(6)}
    monkeypatch.setattr(rendezvous, "NEAR", 2**35)
    seeds = rendezvous.row_seeds(SEED, FEW_ROWS)

    keys = rendezvous.lowest_keys(seeds, numbered, SEED, False, 4, built)

    numbers = rendezvous.settle(keys, FEW_ROWS, numbered, SEED, False)
    exact = [rendezvous.rank_exactly(int(row), numbered, SEED, False)[:4] for row in FEW_ROWS]
    assert numbers.T.tolist() == exact


def test_a_library_made_of_other_sources_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert library.built(tmp_path) is None
    assert library.build(tmp_path) == library.built(tmp_path)

    changed = tmp_path / "rank.c"
    changed.write_text(library._SOURCE.read_text() + "\n")
    monkeypatch.setattr(library, "_SOURCE", changed)

    assert library.built(tmp_path) is None


def test_a_library_that_cannot_be_loaded_is_left_to_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "librank.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(library, "built", lambda: broken)

    assert ranker.native_ranker.__wrapped__() is None
    assert "take longer to build" in caplog.text


def test_without_a_compiler_the_build_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", str(tmp_path / "none"))

    with pytest.raises(library.BuildError, match="no C compiler"):
        library.build(tmp_path)
