# SPDX-License-Identifier: MIT
"""The versions of a table file: stored, removed, and damaged."""

import json
import multiprocessing
import os
from hashlib import sha256
from pathlib import Path

import pytest

from glb.config.parse import parse_tables
from glb.daemon.report import now
from glb.errors import HistoryError
from glb.history.store import History, Listing
from glb.history.version import LoadCause, Origin, Version
from glb.table.digest import digest_of_source
from tests.unit import sources

ALICE = Origin(LoadCause.APPLY, "alice", "a second proxy")
DIGEST = "of the tables"


def keep(history: History, data: bytes, origin: Origin) -> Version:
    return history.record(data, DIGEST, origin)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


def test_versions_are_numbered_and_the_newest_comes_first(history: History) -> None:
    for content in (b"one", b"two", b"three"):
        keep(history, content, ALICE)

    versions = history.listing().versions

    assert [version.number for version in versions] == [3, 2, 1]
    assert (versions[0].how, versions[0].author, versions[0].note) == (LoadCause.APPLY, "alice", "a second proxy")
    assert versions[2].time <= versions[1].time <= versions[0].time
    assert [history.read(number).source for number in (1, 2, 3)] == ["one", "two", "three"]


def test_the_same_content_twice_in_a_row_is_one_version(history: History) -> None:
    for content in (b"one", b"one", b"two", b"one"):
        keep(history, content, ALICE)

    assert [version.number for version in history.listing().versions] == [3, 2, 1]


@pytest.mark.parametrize(
    "later",
    [ALICE, Origin(LoadCause.START, "the daemon"), Origin(LoadCause.BACKEND, "bob")],
    ids=["apply", "restart", "backend"],
)
def test_a_version_keeps_its_author_when_loaded_again(history: History, later: Origin) -> None:
    keep(history, b"one", Origin())

    assert keep(history, b"one", later) == history.listing().versions[0]
    assert (history.listing().versions[0].how, history.listing().versions[0].author) == (LoadCause.EDIT, "file edited")


@pytest.mark.parametrize("seen_as", [Origin(), Origin(LoadCause.START, "the daemon")], ids=["edit", "start"])
def test_a_declared_author_is_recorded_by_the_first_director(history: History, seen_as: Origin) -> None:
    keep(history, b"one", Origin())
    history.declare(b"two", ALICE)

    version = keep(history, b"two", seen_as)

    assert (version.how, version.author, version.note) == (LoadCause.APPLY, "alice", "a second proxy")


def test_a_declaration_holds_for_its_content_and_once(history: History) -> None:
    history.declare(b"two", ALICE)

    hows = [keep(history, data, Origin()).how for data in (b"one", b"two")]
    history.declare(b"three", ALICE)
    again = [keep(history, data, Origin()).how for data in (b"three", b"four", b"three")]

    assert hows == [LoadCause.EDIT, LoadCause.EDIT]
    assert again == [LoadCause.APPLY, LoadCause.EDIT, LoadCause.EDIT]


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"how": "apply"}', b"\xff"])
def test_a_damaged_declaration_is_ignored(history: History, damage: bytes) -> None:
    history.declare(b"one", ALICE)
    (history.folder / "announced.json").write_bytes(damage)

    assert keep(history, b"one", Origin()).how is LoadCause.EDIT


def test_a_version_of_an_earlier_release_gets_a_tables_digest(history: History) -> None:
    source = json.dumps(sources.tables())
    kept = json.dumps({
        "number": 1, "time": "2026-11-25T06:04:59.000+00:00", "how": "start", "author": "the daemon", "note": "",
        "digest": sha256(source.encode()).hexdigest(), "source": source,
    })  # fmt: skip
    history.folder.mkdir()
    (history.folder / "000001.json").write_text(kept)

    assert history.read(1).version.digest == digest_of_source(parse_tables(source, "source"))
    assert keep(history, source.encode(), ALICE).number == 1


def test_the_last_versions_are_kept_and_numbers_continue(tmp_path: Path) -> None:
    history = History(tmp_path, kept=3)

    for number in range(5):
        keep(history, str(number).encode(), ALICE)

    assert [version.number for version in history.listing().versions] == [5, 4, 3]
    with pytest.raises(HistoryError, match="there is no version 2; there are 3 to 5"):
        history.read(2)


def test_large_versions_are_removed_sooner(tmp_path: Path) -> None:
    history = History(tmp_path, kept_bytes=25_000)

    for letter in "abcdef":
        keep(history, letter.encode() * 10_000, ALICE)

    assert [version.number for version in history.listing().versions] == [6, 5, 4]


def test_of_a_binary_only_the_digest_is_kept(history: History) -> None:
    keep(history, b"GLBD\2\0\0\0\xff", ALICE)
    keep(history, b"GLBD\2\0\0\0\xff", ALICE)

    [version] = history.listing().versions

    assert history.read(version.number).source is None


def test_there_may_be_no_history_yet(history: History) -> None:
    assert history.listing() == Listing([], [])
    with pytest.raises(HistoryError, match="there is no version 1; there is none yet"):
        history.read(1)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (b"", "damaged: "),
        (b'{"number": 2, "ti', "damaged: "),
        (b"[]", "damaged: "),
        (b'{"number": 2}', "damaged: "),
        (b"\xff\xfe", "damaged: "),
    ],
    ids=["empty", "half-written", "no object", "fields missing", "no text"],
)
def test_a_damaged_version_is_reported_and_the_others_stay(history: History, damage: bytes, expected: str) -> None:
    for content in (b"one", b"two"):
        keep(history, content, ALICE)
    path = history.folder / "000002.json"
    path.write_bytes(damage)

    assert [version.number for version in history.listing().versions] == [1]
    assert [str(path) in fault and expected in fault for fault in history.listing().damaged] == [True]
    with pytest.raises(HistoryError, match="damaged"):
        history.read(2)
    assert keep(history, b"two", ALICE).number == 3


def test_a_version_that_differs_from_its_digest_is_damaged(history: History) -> None:
    keep(history, b"one", ALICE)
    path = history.folder / "000001.json"
    path.write_text(path.read_text().replace('"source": "one"', '"source": "two"'))

    with pytest.raises(HistoryError, match="damaged: the content does not match its digest"):
        history.read(1)


def test_files_of_a_killed_process_are_removed(history: History) -> None:
    keep(history, b"one", ALICE)
    draft = history.folder / ".000002.json.0123456789abcdef.tmp"
    draft.write_bytes(b'{"num')

    assert keep(history, b"two", ALICE).number == 2
    assert not draft.exists()


def test_an_old_version_that_cannot_be_removed_is_an_error(tmp_path: Path) -> None:
    history = History(tmp_path, kept=1)
    (tmp_path / "000001.json").mkdir()

    with pytest.raises(HistoryError, match=r"000001\.json: an old version cannot be removed: Is a directory"):
        keep(history, b"one", ALICE)


def test_a_directory_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    history = History(tmp_path / "state" / "history")

    with pytest.raises(HistoryError, match="no version can be saved: Not a directory"):
        keep(history, b"one", ALICE)


def test_a_full_disk_is_an_error_and_leaves_no_partial_version(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    keep(history, b"one", ALICE)
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(HistoryError, match=r"000002\.json: the version cannot be saved: No space left"):
        keep(history, b"two", ALICE)

    assert [entry.name for entry in history.folder.iterdir()] == ["000001.json"]


def test_a_late_load_of_overtaken_content_adds_no_version(history: History) -> None:
    first = keep(history, b"one", ALICE)
    while now() == first.time:
        pass  # the clock counts milliseconds
    second = keep(history, b"two", ALICE)

    late = history.record(b"one", DIGEST, Origin(), read_at=first.time)

    assert late == first
    assert history.listing().versions == [second, first]


def test_content_that_returns_to_the_file_is_a_new_version(history: History) -> None:
    keep(history, b"one", ALICE)
    second = keep(history, b"two", ALICE)

    again = history.record(b"one", DIGEST, Origin(), read_at=second.time)

    assert again.number == second.number + 1


def test_daemons_with_the_same_file_write_each_version_once(history: History) -> None:
    context = multiprocessing.get_context("fork")
    for content in (b"one", b"two", b"three"):
        daemons = [context.Process(target=keep, args=(history, content, Origin())) for _ in range(4)]
        for daemon in daemons:
            daemon.start()
        for daemon in daemons:
            daemon.join()
        assert [daemon.exitcode for daemon in daemons] == [0] * 4

    assert [version.number for version in history.listing().versions] == [3, 2, 1]


def test_a_link_keeps_its_history_when_its_target_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLB_STATE_DIR", str(tmp_path / "state"))
    link, folder = tmp_path / "current.json", tmp_path / "folder"
    folder.symlink_to(tmp_path)
    link.symlink_to(tmp_path / "release1.json")
    before = History.of(link).folder
    link.unlink()
    link.symlink_to(tmp_path / "release2.json")

    assert History.of(link).folder == before
    assert History.of(folder / "current.json").folder == before
    assert History.of(tmp_path / "other.json").folder != before
