# SPDX-License-Identifier: MIT
"""An edit is planned before it is made, also where no director runs: under the file's lock."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from glb.config.edit import Action
from glb.config.json_files import load_tables
from glb.config.model import State
from glb.ctl.connections import ConnectionCheck
from glb.ctl.edits import BackendEdit, EditResult, make_edit
from glb.errors import GlbError
from glb.history.store import History
from glb.history.version import LoadCause, Origin

ADDRESSES = [f"10.0.0.{n}" for n in range(1, 5)]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table file of four backends, three hops a row, and no director on this host."""
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("GLB_STATE_DIR", str(tmp_path / "state"))
    table: dict[str, Any] = {
        "name": "web",
        "hash_key": "00" * 16,
        "seed": "11" * 16,
        "binds": [{"ip": "198.51.100.1", "proto": "udp", "port": 80}],
        "backends": [{"ip": address, "state": "active"} for address in ADDRESSES],
    }
    path = tmp_path / "ft.json"
    path.write_text(json.dumps({"tables": [table]}))
    return path


def edit(path: Path, action: str, address: str, force: bool = False) -> EditResult:
    return make_edit(BackendEdit(Action(action), path, address, force=force), ConnectionCheck(), 1)


def states(path: Path) -> list[State]:
    return [backend.state for backend in load_tables(path).tables[0].backends]


def test_a_drain_that_leaves_rows_without_a_hop_is_refused(path: Path) -> None:
    for address in ADDRESSES[:2]:
        edit(path, "drain", address)
    before = path.read_text()

    with pytest.raises(GlbError) as caught:
        edit(path, "drain", ADDRESSES[2])
    assert "refused, since it would cut established connections" in str(caught.value)
    assert "web: 10.0.0.3: all 3 hops of rows would be draining or unhealthy" in str(caught.value)
    assert path.read_text() == before


def drain(path: Path, address: str) -> None:
    try:
        edit(path, "drain", address)
    except GlbError:
        raise SystemExit(1) from None


def test_simultaneous_drains_are_judged_in_turn(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=drain, args=(path, address)) for address in ADDRESSES]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sorted(worker.exitcode or 0 for worker in workers) == [0, 0, 1, 1]
    assert states(path).count(State.DRAINING) == 2


def test_findings_are_shown_without_anything_to_wait_for(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(path, "drain", ADDRESSES[0])

    made = edit(path, "remove", ADDRESSES[0])

    shown = " ".join(capsys.readouterr().out.split())
    assert "MAY CUT web: 10.0.0.1" in shown
    assert "10.0.0.1: nothing to wait for: none of its binds is tcp" in shown
    assert made.facts()["cleared"] == [{"address": "10.0.0.1", "agent": None}]


def test_the_next_director_records_the_author_of_an_edit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    history = History.of(path)
    history.record(path.read_bytes(), "", Origin(LoadCause.START, "the daemon"))

    edit(path, "drain", ADDRESSES[0])
    version = history.record(path.read_bytes(), "", Origin(LoadCause.START, "the daemon"))

    assert (version.how, version.note) == (LoadCause.BACKEND, "web: 10.0.0.1 active -> draining")
    assert version.author != "the daemon"


def test_a_host_without_a_history_gets_none_by_an_edit(path: Path, tmp_path: Path) -> None:
    edit(path, "drain", ADDRESSES[0])

    assert not (tmp_path / "state").exists()
