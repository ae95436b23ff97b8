# SPDX-License-Identifier: MIT
"""Edits of a source: what they change, what they leave, what they refuse."""

import json
import multiprocessing
import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from glb.config.edit import Action, Edit, StateEdit, revise
from glb.config.json_files import edit_file, load_tables
from glb.config.model import State
from glb.errors import ConfigError
from tests.unit import sources


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ft.json"
    path.write_text(json.dumps(sources.tables(), indent=4) + "\n")
    return path


def edited(path: Path, action: str, address: str, *tables: str, force: bool = False) -> Edit:
    return edit_file(path, Action(action), address, tables or None, force=force)


def states(path: Path) -> dict[str, dict[str, str]]:
    return {
        table.name: {str(backend.address): str(backend.state) for backend in table.backends}
        for table in load_tables(path).tables
    }


def change(table: str, address: str, before: State | None, after: State | None) -> StateEdit:
    return StateEdit(table, ip_address(address), before, after)


def test_a_state_is_set_in_every_table_that_lists_the_address(path: Path) -> None:
    edit = edited(path, "drain", "10.0.0.2")

    assert edit.changed
    assert edit.changes == (
        change("web", "10.0.0.2", State.ACTIVE, State.DRAINING),
        change("dns", "10.0.0.2", State.FILLING, State.DRAINING),
    )
    assert states(path)["web"]["10.0.0.2"] == states(path)["dns"]["10.0.0.2"] == "draining"


def test_a_state_is_set_in_the_one_table_that_is_named(path: Path) -> None:
    edit = edited(path, "drain", "10.0.0.2", "web")

    assert edit.changes == (change("web", "10.0.0.2", State.ACTIVE, State.DRAINING),)
    assert states(path)["dns"]["10.0.0.2"] == "filling"


def test_nothing_but_the_edited_value_changes(path: Path) -> None:
    before = path.read_text()

    edited(path, "drain", "10.0.0.1")

    assert path.read_text() == before.replace('"active"', '"draining"', 1)


@pytest.mark.parametrize(
    "layout",
    [
        {"indent": 2},
        {"indent": "\t"},
        {"indent": None},
        {"indent": None, "separators": (",", ":")},
        {"indent": 2, "ensure_ascii": False},
    ],
)
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_files_layout_is_kept(path: Path, layout: dict[str, Any], end: str) -> None:
    source = sources.put(sources.tables(), "tables.0.name", "wéb")
    path.write_text(json.dumps(source, **layout) + end)

    edited(path, "drain", "10.0.0.1")

    expected = sources.put(source, "tables.0.backends.0.state", "draining")
    assert path.read_text() == json.dumps(expected, **layout) + end


def test_an_edit_that_changes_nothing_leaves_the_file_alone(path: Path) -> None:
    inode = path.stat().st_ino

    edit = edited(path, "activate", "10.0.0.1")

    assert not edit.changed
    assert path.stat().st_ino == inode


def test_a_new_backend_is_filled_with_its_siblings_health_checks(path: Path) -> None:
    edit = edited(path, "fill", "10.0.0.9", "web")

    assert edit.changes == (change("web", "10.0.0.9", None, State.FILLING),)
    assert json.loads(path.read_text())["tables"][0]["backends"][-1] == {
        "ip": "10.0.0.9",
        "state": "filling",
        "healthy": True,
        "healthchecks": {"http": 80, "gue": 19523},
    }


def test_new_backend_gets_no_checks_if_the_others_differ(path: Path) -> None:
    source = sources.put(sources.tables(), "tables.0.backends.0.healthchecks.http", 8080)
    path.write_text(json.dumps(source))

    edited(path, "fill", "10.0.0.9", "web")

    assert "healthchecks" not in json.loads(path.read_text())["tables"][0]["backends"][-1]


def test_a_revised_text_leaves_the_file_alone(path: Path) -> None:
    before = path.read_text()

    edit = revise(before, path, Action.DRAIN, "10.0.0.1")

    assert edit.changes == (change("web", "10.0.0.1", State.ACTIVE, State.DRAINING),)
    assert (edit.before, edit.source) == (before, before.replace('"active"', '"draining"', 1))
    assert path.read_text() == before


def test_before_write_can_still_prevent_the_edit(path: Path) -> None:
    def refuse(edit: Edit) -> None:
        assert edit.changed
        raise ConfigError("no")

    before = path.read_text()

    with pytest.raises(ConfigError, match="no"):
        edit_file(path, Action.DRAIN, "10.0.0.1", before_write=refuse)
    assert path.read_text() == before


def test_an_edit_is_made_in_the_tables_that_are_named_only(path: Path) -> None:
    edited(path, "drain", "10.0.0.2", "dns")
    edited(path, "activate", "10.0.0.2", "dns", "web")

    assert states(path)["web"]["10.0.0.2"] == states(path)["dns"]["10.0.0.2"] == "active"


def test_a_known_backend_is_filled_where_it_is(path: Path) -> None:
    edit = edited(path, "fill", "10.0.0.3")

    assert edit.changes == (change("web", "10.0.0.3", State.DRAINING, State.FILLING),)
    assert len(states(path)["web"]) == 3


def test_a_backend_is_removed(path: Path) -> None:
    edit = edited(path, "remove", "10.0.0.3", "web")

    assert edit.changes == (change("web", "10.0.0.3", State.DRAINING, None),)
    assert list(states(path)["web"]) == ["10.0.0.1", "10.0.0.2"]


def test_a_backend_that_still_serves_is_removed_if_one_insists(path: Path) -> None:
    edit = edited(path, "remove", "10.0.0.2", "web", force=True)

    assert edit.changes == (change("web", "10.0.0.2", State.ACTIVE, None),)
    assert list(states(path)["web"]) == ["10.0.0.1", "10.0.0.3"]


REFUSALS = [
    ("an unknown address", lambda path: edited(path, "activate", "10.0.0.8"),
     "no backend 10.0.0.8; known are 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4"),
    ("an address of another table", lambda path: edited(path, "remove", "10.0.0.1", "dns"),
     "no backend 10.0.0.1; known are 10.0.0.2, 10.0.0.4"),
    ("an unknown table", lambda path: edited(path, "remove", "10.0.0.1", "wbe"),
     'no table "wbe"; known are web, dns'),
    ("a new address for either table", lambda path: edited(path, "fill", "10.0.0.9"),
     "10.0.0.9 is new; name its table: web, dns"),
    ("a new address that no backend can have", lambda path: edited(path, "fill", "224.0.0.1", "web"),
     'tables[0].backends[3].ip: "224.0.0.1" is not the address of one host'),
    ("the last that serves, to be removed", lambda path: edited(path, "remove", "10.0.0.2", "dns"),
     "tables[1].backends: 10.0.0.2 is the last backend that can serve; activate another first"),
    ("the last that serves, to be inactive", lambda path: edited(path, "deactivate", "10.0.0.2"),
     "tables[1].backends: 10.0.0.2 is the last backend that can serve; activate another first"),
    ("one that serves, to be removed", lambda path: edited(path, "remove", "10.0.0.2", "web"),
     'table "web": 10.0.0.2 is active; if it were removed now, its connections would be cut; '
     "drain it first, or use --force"),
    ("one that is in no row, to be drained", lambda path: edited(path, "drain", "10.0.0.4"),
     'table "dns": 10.0.0.4 is in no row, so it has no connection to drain; '
     "fill it, or leave it as it is, or use --force"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "line"), [case[1:] for case in REFUSALS], ids=[case[0].replace(" ", "-") for case in REFUSALS]
)
def test_an_edit_is_refused_and_the_file_left_alone(path: Path, edit: Any, line: str) -> None:
    before = path.read_bytes()

    with pytest.raises(ConfigError) as caught:
        edit(path)

    assert str(caught.value) == f"{path}: {line}"
    assert path.read_bytes() == before


def test_what_is_no_address_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match='"proxy1" is not an IPv4 or IPv6 address'):
        edited(path, "remove", "proxy1")


def test_a_binary_is_not_edited(path: Path) -> None:
    path.write_bytes(b"GLBD\2\0\0\0")

    with pytest.raises(ConfigError, match="a GLBD binary; give the JSON source that it was built from"):
        edited(path, "remove", "10.0.0.1")


def test_a_file_with_faults_is_not_edited(path: Path) -> None:
    path.write_text(json.dumps(sources.put(sources.tables(), "tables.0.depth", 9)))

    with pytest.raises(ConfigError, match="depth: 9 is not"):
        edited(path, "remove", "10.0.0.1")


def test_a_file_that_is_not_there_is_not_edited(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        edited(tmp_path / "folder" / "ft.json", "remove", "10.0.0.1")


def test_the_mode_is_kept_and_nothing_is_left_beside_the_file(path: Path) -> None:
    path.chmod(0o640)

    edited(path, "drain", "10.0.0.1")

    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["ft.json"]


def test_a_symlink_stays_one_and_its_target_is_edited(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "current.json"
    link.symlink_to(path)

    edited(link, "drain", "10.0.0.1")

    assert link.is_symlink()
    assert states(path)["web"]["10.0.0.1"] == "draining"


def test_a_failure_while_writing_leaves_the_old_file_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(ConfigError, match="cannot be replaced: No space left on device"):
        edited(path, "drain", "10.0.0.1")

    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["ft.json"]


def test_edits_at_the_same_time_lose_none(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    addresses = [f"10.0.1.{i}" for i in range(1, 9)]
    workers = [context.Process(target=edited, args=(path, "fill", address, "web")) for address in addresses]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [worker.exitcode for worker in workers] == [0] * len(workers)
    assert set(addresses) <= set(states(path)["web"])
