# SPDX-License-Identifier: MIT
"""Compiled programs in the cache are used only if no other user can have written them and they are complete."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from glb.datapath.program_cache import ProgramCache

KEY = "0123abcd"
DATA = b"a program"
OTHER_USER = 65534


@pytest.fixture
def cache(tmp_path: Path) -> ProgramCache:
    """It has one entry."""
    cache = ProgramCache(tmp_path / "cache")
    cache.write(KEY, DATA)
    return cache


def entry(cache: ProgramCache) -> Path:
    return cache.folder / f"{KEY}.program"


def replaced_by(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "damaged"),
    "cut off": (lambda path: os.truncate(path, path.stat().st_size - 1), "damaged"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "damaged"),
    "changed": (lambda path: path.write_bytes(path.read_bytes().replace(b"program", b"pogrom?")), "damaged"),
    "a foreign file": (lambda path: os.chown(path, OTHER_USER, -1), "another user"),
    "writable by a group": (lambda path: path.chmod(0o620), "others may write"),
    "writable by all": (lambda path: path.chmod(0o602), "others may write"),
    "a symlink": (replaced_by(lambda path: path.symlink_to("/etc/hostname")), "symbolic links"),
    "a FIFO": (replaced_by(os.mkfifo), "not a regular file"),
}


def test_what_is_written_is_read_and_private(cache: ProgramCache) -> None:
    assert cache.read(KEY) == DATA
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert entry(cache).stat().st_mode & 0o777 == 0o600


def test_an_unknown_key_has_nothing(cache: ProgramCache, caplog: pytest.LogCaptureFixture) -> None:
    assert cache.read("another") is None
    assert ProgramCache(cache.folder / "nowhere").read(KEY) is None
    assert caplog.text == ""


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_an_untrusted_entry_is_replaced(
    cache: ProgramCache, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object], reason: str
) -> None:
    damage(entry(cache))

    assert cache.read(KEY) is None
    assert reason in caplog.text

    cache.write(KEY, DATA)
    assert cache.read(KEY) == DATA
    assert entry(cache).stat().st_uid == os.geteuid()
    assert entry(cache).stat().st_mode & 0o777 == 0o600
    assert Path("/etc/hostname").read_bytes() != DATA


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(
    cache: ProgramCache, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    cache.folder.chmod(mode)

    assert cache.read(KEY) is None
    cache.write("another", DATA)

    assert "others may write to it" in caplog.text
    assert [path.name for path in cache.folder.iterdir()] == [f"{KEY}.program"]


def test_a_foreign_folder_is_not_used(cache: ProgramCache, caplog: pytest.LogCaptureFixture) -> None:
    os.chown(cache.folder, OTHER_USER, -1)

    assert cache.read(KEY) is None
    assert "belongs to another user" in caplog.text


def test_a_folder_that_cannot_be_made_costs_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    cache = ProgramCache(Path("/proc/glb"))

    cache.write(KEY, DATA)

    assert cache.read(KEY) is None
    assert "is not kept" in caplog.text


def test_the_least_recently_used_entries_go(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path, most=2)
    for age, key in enumerate(("new", "old", "used")):
        cache.write(key, DATA)
        os.utime(tmp_path / f"{key}.program", (1000 - age, 1000 - age))
    cache.read("used")

    cache.write("latest", DATA)

    assert {path.name for path in tmp_path.iterdir()} == {"used.program", "latest.program"}


def test_what_a_killed_writer_left_is_removed_in_time(cache: ProgramCache) -> None:
    old, young = (cache.folder / f".{name}.program.0123.tmp" for name in ("old", "young"))
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))

    cache.write(KEY, DATA)

    assert not old.exists()
    assert young.exists()
