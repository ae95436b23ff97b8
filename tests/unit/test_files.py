# SPDX-License-Identifier: MIT
"""A daemon reads regular files only, and never waits for one."""

import os
import socket
from pathlib import Path

import pytest

from glb.director.sources import Sources
from glb.errors import ConfigError
from glb.files import MAX_BYTES, read_regular


def test_a_regular_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")

    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "link") == b"content"


def test_anything_else_is_refused_by_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        expected = {
            tmp_path / "fifo": "this is a FIFO",
            tmp_path: "Is a directory",
            tmp_path / "socket": "No such device or address",
            tmp_path / "loop": "Too many levels of symbolic links",
            tmp_path / "absent": "No such file or directory",
            Path("/dev/zero"): "this is a character device",
        }
        for path, why in expected.items():
            with pytest.raises(ConfigError, match=f"{path}: {why}"):
                read_regular(path)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(MAX_BYTES + 1)

    with pytest.raises(ConfigError, match=rf"{MAX_BYTES + 1} bytes; at most {MAX_BYTES} are read"):
        read_regular(tmp_path / "sparse")


def test_each_change_of_a_file_shows_from_outside(tmp_path: Path) -> None:
    sources = Sources(tmp_path / "director.conf", tmp_path / "table.json")
    sources.config.write_text("{}")
    sources.table.write_text("{}")
    first = sources.stamp()
    assert first.may_differ(None)

    for change in (
        lambda: sources.table.write_text("[]"),
        lambda: sources.config.unlink(),
        lambda: sources.config.symlink_to("director.conf"),
        lambda: (tmp_path / "new").write_text("{}") and (tmp_path / "new").rename(sources.table),
    ):
        before = sources.stamp()
        change()
        assert sources.stamp().may_differ(before)


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    sources = Sources(tmp_path / "director.conf", tmp_path / "table.json")
    for path in (sources.config, sources.table):
        path.write_text("{}")
    before = sources.stamp()
    seen_later = type(before)(before.config, before.table, before.seen + 60)

    assert before.may_differ(before)  # they changed at the time of the look, and may change once more in that tick
    assert not sources.stamp().may_differ(seen_later)
