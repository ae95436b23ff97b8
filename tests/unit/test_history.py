"""The versions of a table file: what is kept, what is given up, and what a fault leaves."""

import multiprocessing
import os
from pathlib import Path

import pytest

from glb.history.store import History, Listing
from glb.history.version import HistoryError, How, Origin

ALICE = Origin(How.APPLY, "alice", "a second proxy")


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


def test_versions_are_numbered_and_the_newest_comes_first(history: History) -> None:
    for content in (b"one", b"two", b"three"):
        history.record(content, ALICE)

    versions = history.listing().versions

    assert [version.number for version in versions] == [3, 2, 1]
    assert (versions[0].how, versions[0].author, versions[0].note) == (How.APPLY, "alice", "a second proxy")
    assert versions[2].time <= versions[1].time <= versions[0].time
    assert [history.read(number).source for number in (1, 2, 3)] == ["one", "two", "three"]


def test_the_same_content_is_one_version_as_long_as_no_other_comes_between(history: History) -> None:
    for content in (b"one", b"one", b"two", b"one"):
        history.record(content, ALICE)

    assert [version.number for version in history.listing().versions] == [3, 2, 1]


def test_what_looked_like_an_edit_is_said_later_to_have_been_a_command(history: History) -> None:
    history.record(b"one", Origin())
    before = history.listing().versions[0]
    history.record(b"one", ALICE)
    history.record(b"one", Origin(How.BACKEND, "bob"))

    [version] = history.listing().versions

    assert (before.how, before.author) == (How.EDIT, "file edited")
    assert (version.how, version.author, version.time) == (How.APPLY, "alice", before.time)


def test_only_the_last_ones_are_kept_and_numbers_go_on(tmp_path: Path) -> None:
    history = History(tmp_path, kept=3)

    for number in range(5):
        history.record(str(number).encode(), ALICE)

    assert [version.number for version in history.listing().versions] == [5, 4, 3]
    with pytest.raises(HistoryError, match="there is no version 2; there are 3 to 5"):
        history.read(2)


def test_large_versions_are_given_up_sooner(tmp_path: Path) -> None:
    history = History(tmp_path, kept_bytes=25_000)

    for letter in "abcdef":
        history.record(letter.encode() * 10_000, ALICE)

    assert [version.number for version in history.listing().versions] == [6, 5, 4]


def test_of_a_binary_only_the_digest_is_kept(history: History) -> None:
    history.record(b"GLBD\2\0\0\0\xff", ALICE)
    history.record(b"GLBD\2\0\0\0\xff", ALICE)

    [version] = history.listing().versions

    assert history.read(version.number).source is None


def test_there_may_be_no_history_yet(history: History) -> None:
    assert history.listing() == Listing([], [])
    with pytest.raises(HistoryError, match="there is no version 1; none is kept yet"):
        history.read(1)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (b"", "damaged: "),
        (b'{"number": 2, "ti', "damaged: "),
        (b"[]", "damaged: "),
        (b'{"number": 2}', "damaged: "),
        (b"\xff\xfe", "damaged: "),
    ],
    ids=["empty", "half-written", "no object", "fields missing", "no text"],
)
def test_a_damaged_version_is_told_and_the_others_stay(history: History, damage: bytes, told: str) -> None:
    for content in (b"one", b"two"):
        history.record(content, ALICE)
    path = history.folder / "000002.json"
    path.write_bytes(damage)

    assert [version.number for version in history.listing().versions] == [1]
    assert [str(path) in fault and told in fault for fault in history.listing().damaged] == [True]
    with pytest.raises(HistoryError, match="damaged"):
        history.read(2)
    assert history.record(b"two", ALICE).number == 3


def test_a_version_whose_tables_are_not_those_of_its_digest_is_damaged(history: History) -> None:
    history.record(b"one", ALICE)
    path = history.folder / "000001.json"
    path.write_text(path.read_text().replace('"source": "one"', '"source": "two"'))

    with pytest.raises(HistoryError, match="damaged: the tables are not those of its digest"):
        history.read(1)


def test_what_a_killed_process_left_is_cleared_away(history: History) -> None:
    history.record(b"one", ALICE)
    draft = history.folder / ".000002.json.0123456789abcdef.tmp"
    draft.write_bytes(b'{"num')

    assert history.record(b"two", ALICE).number == 2
    assert not draft.exists()


def test_an_old_version_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    history = History(tmp_path, kept=1)
    (tmp_path / "000001.json").mkdir()

    with pytest.raises(HistoryError, match=r"000001\.json: an old version cannot be removed: Is a directory"):
        history.record(b"one", ALICE)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    history = History(tmp_path / "state" / "history")

    with pytest.raises(HistoryError, match="no version can be kept: Not a directory"):
        history.record(b"one", ALICE)


def test_a_disk_that_is_full_is_told_and_leaves_no_half_version(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    history.record(b"one", ALICE)
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(HistoryError, match=r"000002\.json: the version cannot be kept: No space left"):
        history.record(b"two", ALICE)

    assert [entry.name for entry in history.folder.iterdir()] == ["000001.json"]


def test_daemons_that_load_the_same_file_at_once_write_each_version_once(history: History) -> None:
    context = multiprocessing.get_context("fork")
    for content in (b"one", b"two", b"three"):
        daemons = [context.Process(target=history.record, args=(content, Origin())) for _ in range(4)]
        for daemon in daemons:
            daemon.start()
        for daemon in daemons:
            daemon.join()
        assert [daemon.exitcode for daemon in daemons] == [0] * 4

    assert [version.number for version in history.listing().versions] == [3, 2, 1]


def test_each_table_file_has_a_history_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLB_STATE_DIR", str(tmp_path))
    table = tmp_path / "ft.json"
    table.write_text("{}")
    (tmp_path / "link.json").symlink_to(table)

    assert History.of(table).folder.parent == tmp_path / "history"
    assert History.of(tmp_path / "link.json").folder == History.of(table).folder
    assert History.of(tmp_path / "other.json").folder != History.of(table).folder
